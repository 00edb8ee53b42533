"""Kept calculations: one of a kind at a time, listed with progress, stopped, found interrupted, failed with a sentence."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from headquarters import Headquarters
from virtual import VirtualRuntime

from cloud.errors import BusyError, ConflictError
from cloud.replay import studies
from cloud.replay.studies import Progress, Studies
from cloud.store.database import open_engine, reading, writing
from cloud.store.migrate import migrate
from runtime.system import SystemRuntime

SECOND = 1_000_000


async def last_of(headquarters: Headquarters, after_s: int = 0) -> studies.Study:
    async with reading(headquarters.engine) as conn:
        found = await studies.last(conn, "", "replay", headquarters.runtime.now() + after_s * SECOND)
    assert found is not None
    return found


async def test_one_of_a_kind_at_a_time(headquarters: Headquarters, runtime: VirtualRuntime) -> None:
    now = runtime.now()
    async with writing(headquarters.engine) as conn:
        await studies.start(conn, "", "replay", "maria", now, "three seeds")
        await studies.start(conn, "", "backtest", "maria", now)
        assert await studies.beat(conn, "", "replay", now, now, 3, 9)
    one = await last_of(headquarters)
    assert (one.state, one.done, one.total, one.text, one.actor) == ("running", 3, 9, "three seeds", "maria")
    async with writing(headquarters.engine) as conn:
        with pytest.raises(BusyError, match=r"in work \(3 of 9\)"):
            await studies.start(conn, "", "replay", "bob", now + 1)
        await studies.finish(conn, "", "replay", now, "done", "", b"[1]", now + 5)
        await studies.start(conn, "", "replay", "bob", now + 6)
        found = await studies.listing(conn, "", "replay", now + 6)
        assert [(one.actor, one.state) for one in found] == [("bob", "running"), ("maria", "done")]
        assert await studies.result(conn, found[1]) == b"[1]"
        done = await studies.last(conn, "", "replay", now + 6, "done")
        assert done == found[1]


async def test_what_gives_no_sign_of_life_was_interrupted(headquarters: Headquarters, runtime: VirtualRuntime) -> None:
    now = runtime.now()
    async with writing(headquarters.engine) as conn:
        await studies.start(conn, "", "replay", "maria", now)
    assert (await last_of(headquarters, studies.LATE_S // 2)).state == "running"
    late = await last_of(headquarters, studies.LATE_S + 1)
    assert (late.state, late.text) == ("failed", studies.INTERRUPTED)
    async with writing(headquarters.engine) as conn:
        later = now + (studies.LATE_S + 1) * SECOND
        await studies.start(conn, "", "replay", "bob", later)
        found = await studies.listing(conn, "", "replay", later)
        assert [(one.actor, one.state) for one in found] == [("bob", "running"), ("maria", "failed")]
        await studies.finish(conn, "", "replay", now, "done", "", b"too late", later)
        assert (await studies.listing(conn, "", "replay", later))[1].state == "failed"


async def test_a_stop_ends_it_at_its_next_sign_of_life(headquarters: Headquarters, runtime: VirtualRuntime) -> None:
    now = runtime.now()
    async with writing(headquarters.engine) as conn:
        with pytest.raises(ConflictError, match="no replay"):
            await studies.stop(conn, "", "replay", "maria", now)
        await studies.start(conn, "", "replay", "maria", now)
        await studies.stop(conn, "", "replay", "bob", now)
        assert not await studies.beat(conn, "", "replay", now, now, 1, 9)
    assert (await last_of(headquarters)).stopping


async def test_what_came_out_is_kept_and_what_failed_says_why(
    headquarters: Headquarters, runtime: VirtualRuntime
) -> None:
    runner = Studies(headquarters.engine, runtime)

    def works(progress: Progress) -> bytes:
        progress(1, 1)
        return b"7"

    def fails(progress: Progress) -> bytes:
        raise ValueError("too short")

    def broken(progress: Progress) -> bytes:
        raise KeyError("gone")

    said: list[tuple[str, str]] = []
    for job in (works, fails, broken):
        await runner.begin("", "replay", "maria", "", job)
        await runner.settled()
        one = await last_of(headquarters)
        said.append((one.state, one.text))
        await asyncio.sleep(1)  # two do not begin in the same microsecond
    assert said == [("done", ""), ("failed", "too short"), ("failed", "KeyError: 'gone'")]


@pytest.mark.real
async def test_a_running_job_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "BEAT_S", 0.02)
    runtime = SystemRuntime()
    engine = open_engine(f"sqlite:///{tmp_path / 'cloud.db'}")
    await migrate(engine)
    runner = Studies(engine, runtime)

    def endless(progress: Progress) -> bytes:
        while True:
            progress(1, 2)

    await runner.begin("", "replay", "maria", "", endless)
    async with writing(engine) as conn:
        await studies.stop(conn, "", "replay", "bob", runtime.now())
    async with asyncio.timeout(10):
        await runner.settled()
    async with reading(engine) as conn:
        one = await studies.last(conn, "", "replay", runtime.now())
    assert one is not None
    assert (one.state, one.text) == ("failed", studies.STOPPED)
    await engine.dispose()
