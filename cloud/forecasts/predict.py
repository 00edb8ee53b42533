"""READ FIRST of the forecasts: series in, forecasts out. Pure; the same batch gives the same numbers anywhere.

Every series is put into buckets, its class's models are averaged, the result is spread over the periods again, and a
gamma with a mass at zero, asked at the levels that past forecasts needed, says how sure that is. Models of a class run
together; one path serves both the forecast and the backtests behind the calibration, so these cannot differ.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import msgspec
import numpy as np
from numpy.typing import NDArray

from cloud.forecasts import calibration
from cloud.forecasts.classes import NEW_BELOW, classify
from cloud.forecasts.distribution import MOMENT_BUCKETS, moments, quantiles, stood
from cloud.forecasts.forecast import (
    FAN_LEVELS,
    FAN_PERIODS,
    LEVELS,
    Batch,
    Calibration,
    DemandClass,
    Forecast,
    Forecasts,
    Request,
    inputs_hash,
)
from cloud.forecasts.series import dense, from_first_demand, together, weekday_profile

Values = NDArray[np.float64]

#: (model, histories, horizon, season) -> mean paths; the statsforecast adapter, or another in a test.
PointForecasts = Callable[[str, Sequence[Values], int, int], Values]


@dataclass(frozen=True, slots=True)
class Models:
    """The models whose mean is the forecast of a class: `short` histories, and those of at least two seasons."""

    short: Mapping[DemandClass, tuple[str, ...]]
    seasonal: Mapping[DemandClass, tuple[str, ...]]

    def of(self, demand_class: DemandClass, seasonal: bool) -> tuple[str, ...]:
        """The models of a class; none for one that is forecast from the others of its batch."""
        return (seasonal and self.seasonal.get(demand_class)) or self.short.get(demand_class, ())


#: Never Croston or SBA: they do not see an item die. Chosen and checked in docs/decisions/0006-forecast-defaults.md.
DEFAULTS = Models(
    short={
        "smooth": ("SES", "IMAPA", "Theta"),
        "erratic": ("SES", "IMAPA"),
        "intermittent": ("IMAPA", "ADIDA"),
        "lumpy": ("IMAPA", "ADIDA"),
    },
    seasonal={"smooth": ("SeasonalNaive", "Theta"), "erratic": ("SeasonalNaive", "Theta")},
)

#: Days are put together into weeks before anything else: a week holds the closed days, and is a tenth of the work.
_BUCKET_DAYS = 7
#: Season of weekly buckets, and how many of them must be known before a model may use it.
_SEASON_WEEKS, _SEASONS = 52, 2
#: A forecast mean beyond this many times the largest bucket ever seen is a model running away.
_RUNAWAY = 1.5
#: Buckets of an average series of its batch that a new item's forecast begins with.
_PRIOR_BUCKETS = 4.0


@dataclass(slots=True)
class Outlook:
    """One series up to one origin: what was known, and what the models made of it, before calibration.

    `path` is the mean of each period ahead, `over` mean, variance and probability of none of demand over the horizon.
    """

    request: Request
    periods: Values
    buckets: Values
    demand_class: DemandClass
    size: int
    season: int
    models: tuple[str, ...]
    path: Values
    over: tuple[float, float, float] = (0.0, 0.0, 1.0)


def forecast(batch: Batch, point_forecasts: PointForecasts, models: Models = DEFAULTS) -> Forecasts:
    """Forecast each series of `batch`. What lies at or after its origin is never looked at."""
    series = [dense(request, batch.origin, batch.period_days) for request in batch.requests]
    tasks = _outlooks(batch, series, point_forecasts, models)
    known = dict(batch.known) | _backtest(batch, series, tasks, point_forecasts, models)
    learnt = [known.get(task.demand_class, calibration.UNCALIBRATED) for task in tasks]
    asked = np.asarray([calibration.asked(LEVELS, one) for one in learnt]).reshape(-1, len(LEVELS))
    promised = quantiles(*columns(tasks), asked)
    made = [_answer(batch, *each) for each in zip(tasks, promised, learnt, strict=True)]
    return Forecasts(tuple(made), {name: known[name] for name in sorted(known)})


def outlooks(batch: Batch, point_forecasts: PointForecasts, models: Models = DEFAULTS) -> list[Outlook]:
    """What the models alone make of each series of `batch`, not calibrated: for comparing models."""
    series = [dense(request, batch.origin, batch.period_days) for request in batch.requests]
    return _outlooks(batch, series, point_forecasts, models)


def _outlooks(batch: Batch, series: Sequence[Values], point_forecasts: PointForecasts, models: Models) -> list[Outlook]:
    made = [
        _task(request, values, batch.period_days, models)
        for request, values in zip(batch.requests, series, strict=True)
    ]
    _run(made, point_forecasts)
    return made


def _task(request: Request, periods: Values, period_days: int, models: Models) -> Outlook:
    size = _BUCKET_DAYS if period_days == 1 else 1
    lived = from_first_demand(periods)
    buckets = together(lived, size)
    demand_class = classify(buckets)
    if demand_class == "dead" and lived.size:
        demand_class = "new"  # sold for the first time less than a bucket ago
    season = _SEASON_WEEKS if period_days * size == 7 and len(buckets) >= _SEASONS * _SEASON_WEEKS else 1
    chosen = models.of(demand_class, season > 1)
    return Outlook(request, lived, buckets, demand_class, size, season, chosen, np.zeros(0))


def _run(tasks: Sequence[Outlook], point_forecasts: PointForecasts) -> None:
    """Fill in the mean path, per period, and the moments over the horizon of each task."""
    reach = max((_reach(task) for task in tasks), default=0)
    groups: dict[tuple[tuple[str, ...], int], list[Outlook]] = {}
    for task in tasks:
        groups.setdefault((task.models, task.season), []).append(task)
    prior = _prior(tasks)
    for (models, season), group in groups.items():
        if models:
            histories = [task.buckets for task in group]
            paths = np.mean([point_forecasts(model, histories, reach, season) for model in models], axis=0)
        else:
            paths = np.repeat([[_new_level(task, prior)] for task in group], max(reach, 1), axis=1)
        for task, path in zip(group, paths, strict=True):
            most = _RUNAWAY * float(np.max(task.buckets)) if models else math.inf
            task.path = _spread(task, np.minimum(path, most))
            task.over = _over_horizon(task)


def _reach(task: Outlook) -> int:
    """Buckets that the fan and the horizon of a task need."""
    return math.ceil(max(FAN_PERIODS, task.request.lead_time + task.request.review) / task.size)


def _prior(tasks: Sequence[Outlook]) -> float:
    """The median bucket of the series that are old enough to tell; 0 where there are none."""
    rates = [float(np.mean(task.buckets)) for task in tasks if task.models]
    return float(np.median(rates)) if rates else 0.0


def _new_level(task: Outlook, prior: float) -> float:
    """A new item's mean bucket: its own demand, which counts the more the longer it is known, and the prior."""
    seen = len(task.periods) / task.size
    if not seen:
        return 0.0
    return (float(np.sum(task.periods)) + prior * _PRIOR_BUCKETS) / (seen + _PRIOR_BUCKETS)


def _spread(task: Outlook, path: Values) -> Values:
    """A path of buckets as a path of periods, by the profile of the week."""
    if task.size == 1:
        return path
    return (path[:, None] * weekday_profile(task.periods)[None, :]).reshape(-1)


def _horizon_mean(path: Values, horizon: float) -> float:
    whole = int(horizon)
    part = horizon - whole
    return float(np.sum(path[:whole])) + (part * float(path[whole]) if part and whole < len(path) else 0.0)


def _over_horizon(task: Outlook) -> tuple[float, float, float]:
    """Mean, variance and probability of none of demand over lead time plus review."""
    request = task.request
    horizon = request.lead_time + request.review
    mean = _horizon_mean(task.path, horizon)
    if mean <= 0 or horizon <= 0:
        return 0.0, 0.0, 1.0
    count = horizon / task.size
    history = task.buckets if task.models else np.asarray([mean / count] * NEW_BELOW)
    variance, none = moments(history, mean / count, task.demand_class)
    if not task.models:
        variance += (mean / count) ** 2  # nothing is known of a new item: as wide as its mean
    rate = mean / horizon
    return mean, variance * count + (rate * request.lead_time_sd) ** 2, none**count


def columns(tasks: Sequence[Outlook]) -> tuple[Values, Values, Values]:
    """Means, variances and probabilities of none over the horizon, of each series."""
    columns = np.asarray([task.over for task in tasks], dtype=np.float64).reshape(-1, 3)
    return columns[:, 0], columns[:, 1], columns[:, 2]


def _backtest(
    batch: Batch,
    series: Sequence[Values],
    tasks: Sequence[Outlook],
    point_forecasts: PointForecasts,
    models: Models,
) -> dict[str, Calibration]:
    """Forecast again from one, two, ... horizons ago, with what was known then, and calibrate each class by it."""
    past: list[Outlook] = []
    came: list[float] = []
    for back in range(1, batch.backtests + 1):
        for request, values, task in zip(batch.requests, series, tasks, strict=True):
            horizon = max(1, round(request.lead_time + request.review))
            cut = len(values) - back * horizon
            if task.models and cut > 0:
                exact = Request(request.site, request.item, request.first, (), float(horizon), 0.0, 0.0)
                earlier = _task(exact, values[:cut], batch.period_days, models)
                if earlier.models:
                    past.append(earlier)
                    came.append(float(np.sum(values[cut : cut + horizon])))
    _run(past, point_forecasts)
    over, realised = columns(past), np.asarray(came, dtype=np.float64)
    levels = stood(*over, realised)
    found: dict[str, Calibration] = {}
    for name in models.short:
        rows = np.asarray([task.demand_class == name for task in past], dtype=bool)
        before = batch.known.get(name, calibration.UNCALIBRATED).scores
        if int(np.sum(rows)) >= max(calibration.LEAST_SCORES, before // 2):  # a few changed series do not outweigh all
            found[name] = calibration.calibrate(levels[rows], over[0][rows], realised[rows])
    return found


def _fan(task: Outlook) -> Values:
    """Quantiles of each period's demand (FAN_PERIODS, FAN_LEVELS)."""
    path = np.resize(task.path, FAN_PERIODS) if len(task.path) else np.zeros(FAN_PERIODS)
    mean = float(np.mean(path))
    variance, none = moments(task.periods, mean, "lumpy", MOMENT_BUCKETS * task.size) if mean > 0 else (0.0, 1.0)
    share = path / mean if mean > 0 else path
    often = np.minimum(1.0, (1 - none) * share)
    return quantiles(path, variance * share, 1 - often, FAN_LEVELS)


def _answer(batch: Batch, task: Outlook, promised: Values, learnt: Calibration) -> Forecast:
    request = task.request
    horizon = request.lead_time + request.review
    inputs = inputs_hash(batch.origin, batch.period_days, request)
    version = hashlib.sha256(inputs.encode() + msgspec.msgpack.encode(learnt)).hexdigest()[:16]
    sizes = task.periods[task.periods > 0]
    mean = task.over[0]
    return Forecast(
        version=version,
        site=request.site,
        item=request.item,
        origin=date.fromordinal(batch.origin).isoformat(),
        period_days=batch.period_days,
        demand_class=task.demand_class,
        models=task.models or ("mean",),
        history=len(task.periods),
        censored=len(request.censored),
        lead_time=request.lead_time,
        lead_time_sd=request.lead_time_sd,
        review=request.review,
        rate=_rounded(mean / horizon if horizon > 0 else 0.0),
        line_size=_rounded(float(np.mean(sizes)) if len(sizes) else 0.0),
        mean=_rounded(mean),
        levels=LEVELS,
        quantiles=tuple(_rounded(float(value)) for value in promised),
        fan_levels=FAN_LEVELS,
        fan=tuple(tuple(_rounded(float(value)) for value in row) for row in _fan(task)),
        error=_rounded(learnt.error),
        inputs=inputs,
    )


def _rounded(value: float) -> float:
    """Four decimals: vector instructions differ in the last bits between machines and positions in a batch."""
    return round(value, 4)
