"""How good would the forecasts have been? The product's own, from past origins, beside models that anyone can name. Pure.

Rolling origin (Tashman 2000): each fold forecasts the horizon after its origin with what was known before it. Errors of the
sum over the horizon are what an order feels; coverage and pinball loss are of its quantiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from cloud.errors import BadInputError
from cloud.forecasts.answers import promised
from cloud.forecasts.boosted import Boosted, Windows, learn_lags
from cloud.forecasts.classes import CLASSES, classify
from cloud.forecasts.distribution import moments, quantiles
from cloud.forecasts.forecast import Batch, Driver, Request, Verdict
from cloud.forecasts.mixture import clustered_error
from cloud.forecasts.panel import Panel, Values
from cloud.forecasts.predict import Learn, look
from cloud.forecasts.seasonal import season_of

#: Probabilities whose coverage and pinball loss are told.
LEVELS = (0.9, 0.95, 0.99)
#: What is asked of each model: its median, and these.
_ASKED = (0.5, *LEVELS)
#: Demands that a series must have had before the first origin: what was never seen cannot be forecast by anybody.
LEAST_DEMANDS = 2
#: Periods known before the first origin below which no origin makes sense.
LEAST_PERIODS = 12
#: z of a 95 % interval.
_Z = 1.96

#: (model, histories, horizon, season) -> mean paths; the statsforecast adapter, or another in a test.
PathForecasts = Callable[[str, Sequence[Values], int, int], Values]
#: (stage, done, total)
Progress = Callable[[str, int, int], None]
#: Seconds that only go forward.
Watch = Callable[[], float]


class Measures(msgspec.Struct, frozen=True):
    """How a model did. Errors are relative to total demand: `wape` of single periods, `lead_time_wape` of the sum over the
    horizon, `bias` of that sum (above 0: too much). `rmsse` relative to the series' own naive error, averaged; `wrmsse` the
    same weighted by recent value. `coverage` and `pinball` by level, pinball over demand; `interval` the 95 % Wilson interval
    of the coverage. `median_wape` is the lead-time error of the model's median in place of its mean, the point with the least
    absolute error to expect (Gneiting 2011), too low a total for an order. `seconds_per_1000` series and origin, without the
    `training_seconds` of an origin that learning from all series takes. None where nothing was counted.
    """

    forecasts: int
    wape: float | None
    lead_time_wape: float | None
    rmsse: float | None
    wrmsse: float | None
    bias: float | None
    coverage: dict[str, float] | None = None
    interval: dict[str, tuple[float, float]] | None = None
    pinball: dict[str, float] | None = None
    seconds_per_1000: float | None = None
    training_seconds: float | None = None
    ratio_to_best: float | None = None
    median_wape: float | None = None
    ratio_error: float | None = None


class Backtest(msgspec.Struct, frozen=True):
    """The product's default beside each other model, in all and by demand class (at each fold's origin). `default` in
    `classes`; `models` holds the default too. `ratio_to_best` is its lead-time error over the best other model's, `ratio_error`
    the standard error of that, clustered by series.
    """

    series: int
    left_out: int
    folds: int
    horizon: int
    period_days: int
    origins: tuple[str, ...]
    default: Measures
    models: dict[str, Measures]
    classes: dict[str, Measures]
    class_models: dict[str, dict[str, Measures]]
    drivers: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Demand:
    """Demand as a table, (series, periods), in base units; `first` the ordinal date of its first period. A month counts as 30
    days: then `first` and driver dates are on that calendar too. `value` is the unit value of each series, for WRMSSE.
    """

    names: tuple[tuple[str, str], ...]
    table: Values
    first: int
    period_days: int
    value: Values
    labels: tuple[str, ...] = ()
    drivers: tuple[Driver, ...] = ()
    country: str = ""


@dataclass(slots=True)
class _Scores:
    """What one model made, fold by fold: sums and paths over the horizon, and quantiles at _ASKED."""

    sums: list[Values] = field(default_factory=list[Values])
    paths: list[Values] = field(default_factory=list[Values])
    quantiles: list[Values] = field(default_factory=list[Values])
    seconds: float = 0.0
    training: float = 0.0


def backtest(
    demand: Demand,
    *,
    horizon: int,
    folds: int,
    learn: Learn | None,
    path_forecasts: PathForecasts,
    watch: Watch,
    origins: Sequence[int] = (),
    progress: Progress = lambda stage, done, total: None,
) -> Backtest:
    """Forecast from `folds` past origins a horizon apart (or from `origins`, periods) and measure. Raises BadInputError
    where the demand is too short.
    """
    periods = demand.table.shape[1]
    chosen = list(origins) or [periods - horizon * back for back in range(folds, 0, -1)]
    if chosen[0] < LEAST_PERIODS:
        most = (periods - LEAST_PERIODS) // horizon
        remedy = f"ask for fewer folds (at most {most}) or a shorter horizon" if most > 0 else "bring a longer history"
        raise BadInputError(
            f"the demand covers {periods} periods: before {folds} folds of {horizon} at least {LEAST_PERIODS} more must be"
            f" known to learn from; {remedy}"
        )
    rows = np.flatnonzero((demand.table[:, : chosen[0]] > 0).sum(axis=1) >= LEAST_DEMANDS)
    if not len(rows):
        raise BadInputError(f"no series has {LEAST_DEMANDS} demands in its first {chosen[0]} periods")
    season = 7 if demand.period_days == 1 else season_of(demand.period_days)
    scores: dict[str, _Scores] = {"default": _Scores()}
    scores |= {name: _Scores() for name in ("SES", "IMAPA", "SeasonalNaive", *(("LightGBM",) if learn else ()))}
    verdicts: tuple[Verdict, ...] = ()
    classes: list[NDArray[np.intp]] = []
    steps, done = len(chosen) * len(scores), 0
    timed = _Timed(learn, watch) if learn else None
    lags = _Timed(learn_lags, watch) if learn else None
    for at in chosen:
        known = Panel(demand.table[rows, :at])
        classes.append(classify(known, np.asarray([at]))[:, 0])
        for name, one in scores.items():
            progress(name, done, steps)
            began, taught = watch(), sum(one.seconds for one in (timed, lags) if one)
            if name == "default":
                verdicts = _default(demand, rows, at, horizon, timed, one)
            elif name == "LightGBM":
                _boosted(known, horizon, season_of(demand.period_days), lags, one)
            else:
                _named(known, name, horizon, season, path_forecasts, one)
            teaching = sum(one.seconds for one in (timed, lags) if one) - taught
            one.training += teaching
            one.seconds += watch() - began - teaching
            done += 1
    progress("measured", steps, steps)
    judge = _Judge(demand, rows, chosen, horizon, np.concatenate(classes))
    return judge.report(scores, len(demand.table) - len(rows), verdicts)


# ------------------------------------------------------------------------------------------------------ models


class _Timed:
    """Learns, and keeps how long that took: once for all series, so it is not a cost of each."""

    def __init__(self, learn: Learn, watch: Watch) -> None:
        self._learn, self._watch, self.seconds = learn, watch, 0.0

    def __call__(
        self, panel: Panel, origin: int, lengths: NDArray[np.intp], season: int, holidays: Values
    ) -> Boosted | None:
        began = self._watch()
        found = self._learn(panel, origin, lengths, season, holidays)
        self.seconds += self._watch() - began
        return found


def _default(
    demand: Demand, rows: NDArray[np.intp], at: int, horizon: int, learn: Learn | None, scores: _Scores
) -> tuple[Verdict, ...]:
    history = np.rint(demand.table[:, :at]).astype(np.intp)
    requests = tuple(
        Request(*demand.names[row], demand.first, tuple(history[row].tolist()), horizon - 1.0, 0.0, 1.0)
        for row in [int(row) for row in rows]
    )
    origin = demand.first + at * demand.period_days
    batch = Batch(origin, requests, demand.period_days, country=demand.country, drivers=demand.drivers)
    seen = look(batch, learn, horizon)
    over = seen.outlook.mean[:, 0], seen.outlook.variance[:, 0], seen.outlook.none[:, 0]
    scores.sums.append(over[0])
    scores.paths.append(seen.path[:, :horizon])
    scores.quantiles.append(promised(over, seen.learnt, _ASKED))
    return seen.verdicts


def _boosted(known: Panel, horizon: int, season: int, learn: Learn | None, scores: _Scores) -> None:
    """LightGBM alone, from lags of all series, where there is enough to learn from; else the mean of each series."""
    count, at = len(known.demand), known.length
    windows = np.full(count, horizon, dtype=np.intp)
    steady = classify(known, np.asarray([at]))[:, 0] < CLASSES.index("intermittent")
    lived = at - known.first >= 1.5 * season + horizon
    season = season if float(np.mean(steady & lived)) >= 0.5 else 1
    found = learn(known, at, windows, season, np.zeros(1)) if learn else None
    mean = known.cumulated[1][:, -1] / np.maximum(at - known.first, 1)
    sums, path = mean * horizon, np.repeat(mean[:, None], horizon, axis=1)
    if found is not None:
        every = np.arange(count, dtype=np.intp)
        begin, here = np.zeros_like(every), np.full(count, at, dtype=np.intp)
        owner = np.repeat(every, horizon)
        each = np.tile(np.arange(horizon), count)
        single = Windows(owner, np.full(len(owner), at), each, np.ones_like(owner))
        path = found.predict(known, single).reshape(count, horizon)
        sums = path.sum(axis=1) if season > 1 else found.predict(known, Windows(every, here, begin, windows)) * horizon
    scores.sums.append(sums)
    scores.paths.append(path)
    scores.quantiles.append(_believed(known, sums, horizon))


def _named(known: Panel, name: str, horizon: int, season: int, path_forecasts: PathForecasts, scores: _Scores) -> None:
    """A model of statsforecast on each series since its first demand."""
    histories = [row[first:] for row, first in zip(known.demand, known.first.tolist(), strict=True)]
    path = path_forecasts(name, histories, horizon, season)
    scores.sums.append(path.sum(axis=1))
    scores.paths.append(path)
    scores.quantiles.append(_believed(known, path.sum(axis=1), horizon))


def _believed(known: Panel, sums: Values, horizon: int) -> Values:
    """The quantiles of the same distribution around another model's mean, as its moments are, not calibrated."""
    origins = np.asarray([known.length])
    variance, none = moments(known, origins, (sums / horizon)[:, None], classify(known, origins))
    return quantiles(sums, variance[:, 0] * horizon, none[:, 0] ** horizon, _ASKED)


# ---------------------------------------------------------------------------------------------------- measures


class _Judge:
    """Holds what really came, and measures any model against it."""

    def __init__(
        self, demand: Demand, rows: NDArray[np.intp], origins: Sequence[int], horizon: int, classes: NDArray[np.intp]
    ) -> None:
        table = demand.table[rows]
        self.demand, self.origins, self.horizon, self.classes = demand, origins, horizon, classes
        self.series = len(rows)
        self.came = np.concatenate([table[:, at : at + horizon] for at in origins])
        self.scale = np.concatenate([_naive_error(table[:, :at]) for at in origins])
        recent = np.concatenate([table[:, max(0, at - horizon) : at].sum(axis=1) for at in origins])
        self.weight = recent * np.tile(demand.value[rows], len(origins))

    def report(self, scores: dict[str, _Scores], left_out: int, verdicts: tuple[Verdict, ...]) -> Backtest:
        every = np.ones(len(self.classes), dtype=bool)
        models = self._ratios(scores, every)
        by_class: dict[str, dict[str, Measures]] = {}
        for code in np.unique(self.classes).tolist():
            here = self.classes == code
            by_class[CLASSES[code]] = self._ratios(scores, here)
        labels = self.demand.labels
        return Backtest(
            series=self.series,
            left_out=left_out,
            folds=len(self.origins),
            horizon=self.horizon,
            period_days=self.demand.period_days,
            origins=tuple(labels[at] if at < len(labels) else str(at) for at in self.origins),
            default=models["default"],
            models=models,
            classes={name: of["default"] for name, of in by_class.items()},
            class_models=by_class,
            drivers=verdicts,
        )

    def _ratios(self, scores: dict[str, _Scores], here: NDArray[np.bool_]) -> dict[str, Measures]:
        """The measures of every model on some of the forecasts, and how the default's compares with the best other."""
        models = {name: self.measure(one, here) for name, one in scores.items()}
        others = {name: one.lead_time_wape for name, one in models.items() if name != "default" and one.lead_time_wape}
        own = models["default"].lead_time_wape
        if not others or own is None:
            return models
        best = min(others, key=lambda name: others[name])
        total = self.came[here].sum(axis=1)
        lost, least = (np.abs(np.concatenate(scores[name].sums)[here] - total) for name in ("default", best))
        ratio = own / others[best]
        series = np.tile(np.arange(self.series), len(self.origins))[here]
        error = clustered_error(lost - ratio * least, series) / float(least.sum())
        compared = msgspec.structs.replace(
            models["default"],
            ratio_to_best=_short(ratio),
            ratio_error=_short(error) if np.isfinite(error) else None,
        )
        return models | {"default": compared}

    def measure(self, scores: _Scores, here: NDArray[np.bool_]) -> Measures:
        """The measures of a model on some of the forecasts."""
        came, sums, path = self.came[here], np.concatenate(scores.sums)[here], np.concatenate(scores.paths)[here]
        total = came.sum(axis=1)
        whole = float(total.sum())
        seconds = scores.seconds / max(len(self.classes), 1) * 1_000
        if whole <= 0 or not here.any():
            return Measures(int(here.sum()), None, None, None, None, None, seconds_per_1000=_short(seconds))
        scaled = np.sqrt(((path - came) ** 2).mean(axis=1)) / np.where(self.scale[here] > 0, self.scale[here], np.nan)
        good = ~np.isnan(scaled)
        weight = self.weight[here]
        counted = float(weight[good].sum())
        asked = np.concatenate(scores.quantiles)[here]
        median, told = asked[:, 0], asked[:, 1:]
        short = total[:, None] - told
        tau = np.asarray(LEVELS)
        loss = np.maximum(tau * short, (tau - 1) * short).sum(axis=0) / whole
        covered = (total[:, None] <= told + 1e-9).mean(axis=0)
        return Measures(
            forecasts=int(here.sum()),
            wape=_short(float(np.abs(path - came).sum()) / whole),
            lead_time_wape=_short(float(np.abs(sums - total).sum()) / whole),
            rmsse=_short(float(scaled[good].mean())) if good.any() else None,
            wrmsse=_short(float((scaled[good] * weight[good]).sum()) / counted) if counted > 0 else None,
            bias=_short(float((sums - total).sum()) / whole),
            coverage={str(level): _short(float(covered[k])) for k, level in enumerate(LEVELS)},
            interval={str(level): _wilson(float(covered[k]), int(here.sum())) for k, level in enumerate(LEVELS)},
            pinball={str(level): _short(float(loss[k])) for k, level in enumerate(LEVELS)},
            seconds_per_1000=_short(seconds),
            training_seconds=_short(scores.training / len(self.origins)),
            median_wape=_short(float(np.abs(median - total).sum()) / whole),
        )


def _naive_error(known: Values) -> Values:
    """Root mean squared error of the naive one-step forecast since the first demand (Makridakis et al. 2022, M5)."""
    panel = Panel(known)
    steps: Values = np.diff(known, axis=1) ** 2
    begun = np.arange(1, known.shape[1], dtype=np.intp)[None, :] > panel.first[:, None]
    lived = np.where(begun, 1.0, 0.0)
    return np.sqrt((lived * steps).sum(axis=1) / np.maximum(lived.sum(axis=1), 1))


def _wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `count` (Wilson 1927); neighbouring forecasts are not independent, so it is narrow."""
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z * sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2)) / (1 + _Z**2 / count)
    return _short(middle - half), _short(middle + half)


def _short(value: float) -> float:
    return round(value, 4)
