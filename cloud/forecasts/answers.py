"""What is told about each series: quantiles that keep their promise, the fan, and a version that names all it rests on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import msgspec
import numpy as np

from cloud.forecasts import calibration
from cloud.forecasts.classes import CLASSES
from cloud.forecasts.distribution import MOMENT_BUCKETS, moments, quantiles
from cloud.forecasts.forecast import (
    FAN_LEVELS,
    FAN_PERIODS,
    LEVELS,
    Batch,
    Calibration,
    Forecast,
    Touching,
    Verdict,
    inputs_hash,
)
from cloud.forecasts.outlook import Book
from cloud.forecasts.panel import Counts, Values


@dataclass(frozen=True, slots=True)
class Answer:
    """All that the answers are made of, series by series: class, (mean, variance, probability of none) over the horizon, mean
    of each period ahead, calibration, (models, weights), and the names of the drivers that could have moved it.
    """

    batch: Batch
    book: Book
    classes: Counts
    over: tuple[Values, Values, Values]
    path: Values
    learnt: Sequence[Calibration]
    models: Sequence[tuple[tuple[str, ...], tuple[float, ...]]]
    verdicts: tuple[Verdict, ...]
    touched: Sequence[tuple[str, ...]]


def promised(over: tuple[Values, Values, Values], learnt: Sequence[Calibration], levels: Sequence[float]) -> Values:
    """Quantiles of demand over the horizon, (series, levels), asked at the levels that past demand needed."""
    needed = [calibration.asked(levels, one, float(mean)) for one, mean in zip(learnt, over[0], strict=True)]
    return quantiles(*over, np.asarray(needed).reshape(-1, len(levels)))


def answers(told: Answer) -> tuple[Forecast, ...]:
    """A forecast for each series, in order."""
    batch, book = told.batch, told.book
    values = promised(told.over, told.learnt, LEVELS)
    fans = _fans(book, told.path[:, :FAN_PERIODS])
    verdicts = {one.name: one for one in told.verdicts}
    touching = Touching(batch.drivers, batch.country)
    sizes = book.periods.sums(np.zeros(1, dtype=np.intp), np.asarray([book.periods.length]))
    line_size = sizes[1][:, 0] / np.maximum(sizes[0][:, 0], 1)
    made: list[Forecast] = []
    for row, request in enumerate(batch.requests):
        horizon, mean = float(book.horizon[row]), float(told.over[0][row])
        models, weights = told.models[row]
        drivers = tuple(verdicts[name] for name in told.touched[row])
        body = Forecast(
            version="",
            site=request.site,
            item=request.item,
            origin=date.fromordinal(batch.origin).isoformat(),
            period_days=batch.period_days,
            demand_class=CLASSES[int(told.classes[row])],
            models=models,
            history=int(book.periods.length - book.periods.first[row]),
            censored=len(request.censored),
            lead_time=request.lead_time,
            lead_time_sd=request.lead_time_sd,
            review=request.review,
            rate=_rounded(mean / horizon if horizon > 0 else 0.0),
            line_size=_rounded(float(line_size[row])),
            mean=_rounded(mean),
            levels=LEVELS,
            quantiles=tuple(_rounded(float(value)) for value in values[row]),
            fan_levels=FAN_LEVELS,
            fan=tuple(tuple(_rounded(float(value)) for value in day) for day in fans[row]),
            error=_rounded(told.learnt[row].error),
            inputs=inputs_hash(batch.origin, batch.period_days, request, touching),
            weights=weights,
            drivers=drivers,
            lent=request.lent,
        )
        version = hashlib.sha256(msgspec.msgpack.encode((body, told.learnt[row]))).hexdigest()[:16]
        made.append(msgspec.structs.replace(body, version=version))
    return tuple(made)


def _fans(book: Book, daily: Values) -> Values:
    """Quantiles of each period's demand (series, FAN_PERIODS, FAN_LEVELS)."""
    mean = daily.mean(axis=1, keepdims=True)
    lumpy = np.full(mean.shape, CLASSES.index("lumpy"), dtype=np.intp)
    now = np.asarray([book.periods.length])
    variance, none = moments(book.periods, now, mean, lumpy, MOMENT_BUCKETS * book.size)
    share = daily / np.maximum(mean, 1e-12)
    silent = none**share  # a day that holds more is like a longer one
    made = quantiles(daily.reshape(-1), (variance * share).reshape(-1), silent.reshape(-1), FAN_LEVELS)
    return made.reshape(*daily.shape, len(FAN_LEVELS))


def _rounded(value: float) -> float:
    """Four decimals: vector instructions differ in the last bits between machines and positions in a batch."""
    return round(value, 4)
