"""READ FIRST of the forecasts: series in, forecasts out. Pure; the same batch gives the same numbers anywhere.

    drivers.py       what campaigns, prices and indicators are to each series;  gate.py  which of them earn their place
    sight.py         all kinds of models, at now and at past origins, and their weights; what a replay would have foreseen
    outlook.py       level models of each class, at any origins in one pass
    seasonal.py      last year's same weeks;  boosted.py  one model learnt from all series
    mixture.py       how much each of these counts, by what they were worth at past origins
    distribution.py  a gamma with a mass at zero over the horizon;  calibration.py  the levels at which past demand kept it
    answers.py       quantiles, fan, version

Now and past origins go through the same functions, so what is measured is what is forecast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cloud.forecasts import calibration, drivers, gate
from cloud.forecasts.answers import Answer, answers
from cloud.forecasts.classes import CLASSES, NEW_BELOW
from cloud.forecasts.distribution import stood
from cloud.forecasts.forecast import FAN_PERIODS, Batch, Calibration, Effect, Forecasts, Verdict
from cloud.forecasts.holiday import holidays_before
from cloud.forecasts.mixture import Weights
from cloud.forecasts.outlook import LEVEL_MODELS, Book, Outlook, outlook_at
from cloud.forecasts.panel import Counts, Values
from cloud.forecasts.seasonal import season_of
from cloud.forecasts.sight import BACK_MOST, KNOWN, Learn, Seen, Sight, foresee_at, weights_now

__all__ = ["Book", "Learn", "Look", "forecast", "foresee_at", "look", "outlook_at"]

#: What was learnt at one origin serves those after it when past forecasts are made again, learning so often at most, and
#: with at least so many buckets between: learning at each is too slow, and one that has grown old is judged too hardly.
_LEARN_TIMES, _LEARN_EVERY = 8, 3


@dataclass(frozen=True, slots=True)
class Look:
    """What is foreseen of each series: the outlook over its horizon at the origin (series, 1), the mean of each period ahead
    (series, periods), the group each belongs to ("smooth", "smooth, seasonal", ...), the weights of KINDS by group, the
    calibration by group, and the verdicts on drivers.
    """

    book: Book
    outlook: Outlook
    path: Values
    groups: tuple[str, ...]
    weights: dict[str, Weights]
    calibration: dict[str, Calibration]
    verdicts: tuple[Verdict, ...]
    touched: tuple[tuple[str, ...], ...]
    effects: dict[str, Effect]

    @property
    def learnt(self) -> list[Calibration]:
        """The calibration of each series: its group's, or while that has none its class's."""
        found: list[Calibration] = []
        for group in self.groups:
            own = self.calibration.get(group) or self.calibration.get(group.partition(",")[0])
            found.append(own or calibration.UNCALIBRATED)
        return found


def forecast(batch: Batch, learn: Learn | None = None) -> Forecasts:
    """Forecast each series of `batch`; without `learn` from each series' own past alone."""
    seen = look(batch, learn, FAN_PERIODS)
    spread = np.asarray([one.lead_time_sd for one in batch.requests], dtype=np.float64)
    rate = seen.outlook.mean[:, 0] / np.maximum(seen.book.horizon, 1e-9)
    over = seen.outlook.mean[:, 0], seen.outlook.variance[:, 0] + (rate * spread) ** 2, seen.outlook.none[:, 0]
    learnt = seen.learnt
    classes = seen.outlook.classes[:, 0]
    models = [_models(int(code), seen.weights.get(group)) for code, group in zip(classes, seen.groups, strict=True)]
    answer = Answer(batch, seen.book, classes, over, seen.path, learnt, models, seen.verdicts, seen.touched)
    return Forecasts(
        answers(answer),
        {name: seen.calibration[name] for name in sorted(seen.calibration)},
        seen.verdicts,
        seen.effects,
    )


def look(batch: Batch, learn: Learn | None, periods: int) -> Look:
    """Look ahead from the origin of `batch`, with the mean of each of `periods` periods."""
    raw = Book.of(batch)
    days = batch.period_days * raw.size
    season = season_of(days)
    reach = int(max(periods, raw.horizon.max(initial=0.0))) + 2 * raw.size
    effects, verdicts, touched, learnt = _drivers(batch, raw, season, reach)
    book = drivers.cleaned(raw, effects) if effects.signals else raw
    ahead = -(-reach // book.size) + 1
    first = batch.origin - book.buckets.length * days
    holidays = holidays_before(batch.country, first, days, book.buckets.length + ahead)
    past = _past_origins(book, batch)
    sight = Sight(book, season, holidays, learn, raw, effects)
    back = sight.at(past, teach_at=past[:: max(_LEARN_EVERY, -(-len(past) // _LEARN_TIMES))])
    now = sight.at(np.asarray([book.buckets.length]), teach_at=np.asarray([book.buckets.length]))
    whole = np.maximum(np.round(raw.horizon), 1.0)  # past demand is known by whole periods
    came = raw.realised(past, whole)
    lift = sight.lift(past)
    weights = weights_now(back, now, came / lift / (whole[:, None] / book.size), whole)
    known = _calibrations(sight, back, sight.outlook(back, weights, whole, lift), came, batch)
    here = np.asarray([book.buckets.length])
    outlook = sight.outlook(now, weights, book.horizon, sight.lift(here))
    path = sight.path(now, weights, -(-periods // book.size))[:, :periods]
    names = tuple(str(name) for name in now.groups[:, 0])
    return Look(raw, outlook, path, names, weights, dict(batch.known) | known, verdicts, touched, learnt)


def _models(code: int, weights: Weights | None) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The models behind a forecast and what each counts."""
    if code >= KNOWN or weights is None:
        return ("mean",), (1.0,)
    levels = LEVEL_MODELS[CLASSES[code]]
    found = [(model, weights[0] / len(levels)) for model in levels]
    found += [("SeasonalNaive", weights[1]), ("LightGBM", weights[2])]
    used = [(model, weight) for model, weight in found if weight > 0]
    return tuple(model for model, _ in used), tuple(round(weight, 4) for _, weight in used)


def _drivers(
    batch: Batch, book: Book, season: int, reach: int
) -> tuple[drivers.Effects, tuple[Verdict, ...], tuple[tuple[str, ...], ...], dict[str, Effect]]:
    """The drivers that enter, the verdicts on all, the names of those that could have moved each series, what was learnt."""
    nothing = drivers.Effects((), ()), (), ((),) * len(batch.requests), dict(batch.effects)
    if not batch.drivers or not batch.backtests:
        return nothing
    candidates = drivers.signals(batch, book, reach)
    effects, verdicts, learnt = gate.admit(book, candidates, season, batch.backtests, batch.effects)
    touched = tuple(
        tuple(one.name for one in candidates if one.moves[one.rows[row]]) for row in range(len(batch.requests))
    )
    return effects, verdicts, touched, learnt


def _past_origins(book: Book, batch: Batch) -> Counts:
    """Past columns of the buckets to look from again; the latest a bucket ago, the first as far as a horizon reaches more."""
    length = book.buckets.length
    if not batch.backtests or not len(book.horizon):
        return np.zeros(0, dtype=np.intp)
    back = min(batch.backtests + int(np.max(book.windows)) - 1, BACK_MOST)
    return np.arange(max(NEW_BELOW, length - back), length, dtype=np.intp)


def _calibrations(sight: Sight, back: Seen, over: Outlook, came: Values, batch: Batch) -> dict[str, Calibration]:
    """Look back from past origins with what was known then, and calibrate each group by it."""
    if not len(back.origins):
        return {}
    window = sight.book.windows
    found: dict[str, Calibration] = {}
    for group in sorted({*np.unique(back.groups).tolist()}):
        here = (back.groups == group) & ~np.isnan(came) & (back.classes < KNOWN)
        rows, columns = np.nonzero(here)
        before = batch.known.get(group, calibration.UNCALIBRATED).scores
        if len(rows) < max(calibration.LEAST_SCORES, before // 2):
            continue  # a few changed series do not outweigh all
        age = (sight.book.buckets.length - back.origins[columns]).astype(np.float64)
        parts = over.mean[here], over.variance[here], over.none[here]
        stands, overlap = stood(*parts, came[here]), float(window[rows].mean())
        found[group] = calibration.calibrate(stands, parts[0], came[here], age, overlap)
    return found
