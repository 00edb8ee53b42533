"""Where forecasts are made does not show in them: in this process, in one worker, in several, on Ray."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import subprocess
import sys

import msgspec
import pytest

from cloud.config import Config, Forecasting
from cloud.errors import CloudError
from cloud.forecasters import (
    Forecaster,
    InlineForecaster,
    PoolForecaster,
    WorkerForecaster,
    at_once,
    close,
    open_forecaster,
)
from cloud.forecasters.cluster import RayForecaster
from cloud.forecasts.chunks import expected, learnt, merged
from cloud.forecasts.forecast import Batch, Calibration, Forecasts, Request

ORIGIN = 739_000


def batch(seed: int, series: int = 60) -> Batch:
    """Sparse series over a year: enough of them that a model is learnt from all."""
    drawn = random.Random(seed)

    def history() -> tuple[int, ...]:
        return tuple(int(drawn.random() < 0.2) * drawn.randint(1, 9) for _ in range(400))

    made = [Request("north", f"{number:03}", ORIGIN - 400, history(), 7.0, 2.0, 1.0) for number in range(series)]
    return Batch(ORIGIN, tuple(made), backtests=1)


async def answers(forecaster: Forecaster) -> list[Forecasts]:
    """A batch that teaches and two that are taught, the last two at once."""
    first = await forecaster.forecast(msgspec.structs.replace(batch(1), teaches=True))
    assert first.models
    taught = [msgspec.structs.replace(batch(seed), models=first.models) for seed in (2, 3)]
    return [first, *await asyncio.gather(*(forecaster.forecast(one) for one in taught))]


@pytest.mark.real
@pytest.mark.timeout(300)  # workers give way to everything else
async def test_one_process_several_and_none_answer_the_same() -> None:
    alone = await answers(InlineForecaster())
    assert "LightGBM" in alone[1].forecasts[0].models
    pool = PoolForecaster(2)
    try:
        assert at_once(pool) == 2
        together = await answers(pool)
        assert [one.returncode for one in pool.processes] == [None, None]
    finally:
        await close(pool)
    assert not pool.processes
    # compared as they are stored: JSON has the shortest digits that give the same number back
    assert msgspec.json.encode([one.forecasts for one in together]) == msgspec.json.encode(
        [one.forecasts for one in alone]
    )
    assert [one.calibration for one in together] == [one.calibration for one in alone]


@pytest.mark.real
@pytest.mark.timeout(300)  # workers give way to everything else
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed")
async def test_ray_answers_the_same() -> None:
    ray = RayForecaster("local")
    try:
        there = await answers(ray)
    finally:
        await ray.close()
    here = await answers(InlineForecaster())
    assert [one.forecasts for one in there] == [one.forecasts for one in here]


@pytest.mark.real
@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="the extra ray is installed")
async def test_ray_that_is_not_installed_is_named() -> None:
    ray = RayForecaster("auto")
    for _ in range(2):
        with pytest.raises(CloudError) as told:
            await ray.forecast(batch(1))
        assert "pip install evercount[ray]" in str(told.value)
    await ray.close()


@pytest.mark.real
@pytest.mark.timeout(300)  # workers give way to everything else
async def test_a_worker_of_a_pool_that_dies_is_replaced_and_the_others_go_on() -> None:
    pool = PoolForecaster(2)
    small = msgspec.structs.replace(batch(1, 3), backtests=0)
    try:
        await asyncio.gather(pool.forecast(small), pool.forecast(small))
        victim = pool.processes[0]
        asking = [asyncio.ensure_future(pool.forecast(batch(seed))) for seed in (1, 2)]
        await asyncio.sleep(0.05)  # both are in work
        victim.kill()
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert sorted(type(one).__name__ for one in found) == ["CloudError", "Forecasts"]
        assert "log" in str(next(one for one in found if isinstance(one, CloudError)))
        again = await asyncio.gather(pool.forecast(small), pool.forecast(small))
        assert [len(one.forecasts) for one in again] == [3, 3]
    finally:
        await pool.close()


def test_the_configuration_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert at_once(open_forecaster(Forecasting(workers=3))) == 3
    assert isinstance(open_forecaster(Forecasting(workers=1)), WorkerForecaster)
    assert isinstance(open_forecaster(Forecasting(ray="ray://head:10001")), RayForecaster)
    for cores, workers in ((1, 1), (2, 1), (8, 7)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert at_once(open_forecaster(Config().forecast)) == workers
    for wrong in ({"workers": -1}, {"ray": "http://head"}):
        with pytest.raises(ValueError, match=r"workers|ray"):
            Forecasting(**wrong)  # pyright: ignore[reportArgumentType]


def calibration(level: float, scores: int) -> Calibration:
    return Calibration((0.9,), (level, 2 * level), ((level,), (level,), (level,)), level, scores)


def test_what_chunks_learnt_is_put_together_by_the_forecasts_behind_it() -> None:
    known = {"lumpy": calibration(0.9, 400), "smooth": calibration(0.8, 100)}
    made = merged(known, [{"lumpy": calibration(0.5, 300)}, {"lumpy": calibration(0.7, 100)}])
    assert made["lumpy"].asked[2] == (pytest.approx(0.55),)
    assert made["lumpy"].edges == (pytest.approx(0.55), pytest.approx(1.1))
    assert (made["lumpy"].scores, made["smooth"]) == (400, known["smooth"])


def test_what_was_known_counts_for_a_chunk_as_much_as_the_chunk_stands_for() -> None:
    known = {"lumpy": calibration(0.9, 400)}
    given = expected(known, 0.25)
    assert given["lumpy"].scores == 100
    assert expected(known, 7.0)["lumpy"].scores == 400
    assert learnt(given, given) == {}
    assert learnt({"lumpy": calibration(0.8, 90)}, given) == {"lumpy": calibration(0.8, 90)}


@pytest.mark.real
def test_nothing_of_ray_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, cloud.app; print([name for name in sys.modules if name.split('.')[0] in ('ray', 'lightgbm')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
