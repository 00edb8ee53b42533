"""The forecasts that would have been made in each period, with what was known then: the product's own. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cloud.forecasts import calibration
from cloud.forecasts.classes import CLASSES, NEW_BELOW
from cloud.forecasts.distribution import quantiles, stood
from cloud.forecasts.panel import Counts, Panel, Values
from cloud.forecasts.predict import Book, outlook_at
from cloud.replay.history import Calendar, History

#: Past origins behind a calibration: a year of weeks.
PAST_ORIGINS = 52


@dataclass(frozen=True)
class Foresight:
    """For each series and each origin of `origins` (periods): mean, variance and probability of none of demand over lead time
    plus review; mean demand a period, mean size of a demand; and the levels to ask for at the calibration's anchors,
    (series, origins, anchors).
    """

    origins: Counts
    mean: Values
    variance: Values
    none: Values
    rate: Values
    line_size: Values
    asked: Values

    def quantiles(self, column: int, levels: Values) -> Values:
        """Demand over lead time plus review that is not exceeded with each series' own probability, at an origin."""
        anchors = np.asarray((0.0, calibration.UNMOVED, *calibration.ANCHORS, 1.0))
        told = self.asked[:, column]
        at = np.clip(np.searchsorted(anchors, levels, side="right"), 1, len(anchors) - 1)
        low, high = anchors[at - 1], anchors[at]
        full = np.concatenate(
            [
                np.zeros((len(told), 1)),
                np.full((len(told), 1), calibration.UNMOVED),
                told,
                np.maximum(told[:, -1:], 1.0),
            ],
            axis=1,
        )
        rows = np.arange(len(told))
        share = (levels - low) / (high - low)
        asked = full[rows, at - 1] * (1 - share) + full[rows, at] * share
        over = self.mean[:, column], self.variance[:, column], self.none[:, column]
        return quantiles(*over, asked[:, None])[:, 0]


def foresee(history: History, calendar: Calendar, review: float = 1.0) -> Foresight:
    """What the product would have foreseen in each period from `calendar.begin` on."""
    panel = Panel(history.demand[:, : calendar.end])
    horizon = history.lead_time + review
    book = Book(panel, panel, 1, horizon)
    first = max(NEW_BELOW, calendar.begin - PAST_ORIGINS)
    origins = np.arange(first, calendar.end + 1)
    seen, _ = outlook_at(book, origins, horizon)
    came = book.realised(origins, np.maximum(np.round(horizon), 1.0))
    rate = seen.mean / horizon[:, None]
    variance = seen.variance + (rate * (history.lead_time_cv * history.lead_time)[:, None]) ** 2
    asked = _asked(seen.classes, (seen.mean, seen.variance, seen.none), came, origins, horizon)
    number, total, _ = panel.sums(np.zeros_like(origins), origins)
    size = total / np.maximum(number, 1)
    begun = slice(calendar.begin - first, None)
    parts = (seen.mean, variance, seen.none, rate, size, asked)
    return Foresight(origins[begun], *(part[:, begun] for part in parts))


def _asked(
    classes: Counts, over: tuple[Values, Values, Values], came: Values, origins: Counts, horizon: Values
) -> Values:
    """The levels to ask for at each origin, learnt from the forecasts whose demand had come by then."""
    mean, variance, none = over
    flat = stood(mean.reshape(-1), variance.reshape(-1), none.reshape(-1), np.nan_to_num(came).reshape(-1))
    stands = flat.reshape(came.shape)
    told = np.broadcast_to(np.asarray(calibration.ANCHORS), (*came.shape, len(calibration.ANCHORS))).copy()
    ends = origins[None, :] + np.maximum(np.round(horizon), 1.0)[:, None]
    for column, origin in enumerate(origins):
        past = (ends <= origin) & (origins[None, :] >= origin - PAST_ORIGINS - horizon[:, None])
        for code in range(CLASSES.index("new")):
            here = np.flatnonzero(classes[:, column] == code)
            known = past & (classes == code)
            if len(here) and known.sum() >= calibration.LEAST_SCORES:
                age = np.broadcast_to(origin - origins, came.shape)[known].astype(np.float64)
                learnt = calibration.calibrate(stands[known], mean[known], came[known], age)
                thirds = calibration.third(learnt.edges, mean[here, column])
                told[here, column] = np.asarray(learnt.asked)[thirds]
    return told
