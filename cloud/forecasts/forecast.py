"""What is asked of the forecaster and what it answers; plain values, so that they travel to another process.

A *period* is the unit of a series, a day at headquarters (`period_days` = 1) or longer in a file that somebody brings.
A forecast is dated by its origin, the first period that is not known; nothing at or after it is ever used.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable
from typing import Literal

import msgspec

#: Part of each forecast's version: raise it when a change of the code changes numbers.
CODE_VERSION = "forecast/5"

#: Syntetos-Boylan classes, "new" for too short a history to tell, "dead" where nothing was ever asked for.
DemandClass = Literal["smooth", "erratic", "intermittent", "lumpy", "new", "dead"]

#: Probabilities at which the demand over lead time and review is stored: close together at the top, where orders look.
LEVELS = (
    0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.965, 0.975, 0.985, 0.99, 0.995, 0.998,
)  # fmt: skip

#: Probabilities of the fan on the item's page.
FAN_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)

#: Periods that the fan reaches: four weeks of days.
FAN_PERIODS = 28


class Request(msgspec.Struct, frozen=True, array_like=True):
    """One series to forecast. `quantities` per period from `first` (an ordinal date) on; `censored` are the offsets of
    periods in which stock was out, so that what was issued is less than what was wanted; times in periods. `lent` says in
    words which part of the past is another item's ("" none).
    """

    site: str
    item: str
    first: int
    quantities: tuple[int, ...]
    lead_time: float
    lead_time_sd: float
    review: float
    censored: tuple[int, ...] = ()
    lent: str = ""


class Driver(msgspec.Struct, frozen=True, array_like=True):
    """A dated series that may move demand: a campaign, a price, an indicator. `site` and `item` say where, "" everywhere.

    `values` stand at `dates` (ordinal dates). `planned` tells which were known beforehand; others are used only before the
    origin. A driver with any planned value is a plan, whose other dates have none (0); else it is an indicator, whose last
    value holds until the next, as that of a plan that `holds` (a price) does. `since` stands beside `dates`: the ordinal date
    from which a planned value was known, empty for ever. `expected`: the values are log changes of demand that somebody
    planned (a campaign), and all of it is expected to come until the past says otherwise.
    """

    name: str
    dates: tuple[int, ...]
    values: tuple[float, ...]
    planned: tuple[bool, ...]
    site: str = ""
    item: str = ""
    holds: bool = False
    since: tuple[int, ...] = ()
    expected: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """Whether a driver entered the forecast, and why: the share by which it lowered the pinball loss of demand over the
    horizon at past origins it had not seen, with its `standard_error`; `uplift`, the change of demand at an ordinary value of
    the driver (0.3: 30 % more); and the reason in words. `share`: how much of a planned change (in logarithms) is expected to
    come, None where nothing was planned; `occasions`: how often it was met in the past.
    """

    name: str
    accepted: bool
    gain: float
    standard_error: float
    uplift: float
    reason: str
    share: float | None = None
    occasions: int = 0


class Touching:
    """Which of the drivers can touch a series, as a digest: those everywhere, of its site, of its item, of both."""

    def __init__(self, drivers: Iterable[Driver] = (), country: str = "") -> None:
        self._country = country
        self._packed: dict[tuple[str, str], bytes] = {}
        for one in drivers:
            digest = hashlib.sha256(self._packed.get((one.site, one.item), b"") + msgspec.msgpack.encode(one))
            self._packed[one.site, one.item] = digest.digest()

    def digest(self, site: str, item: str) -> bytes:
        """What a series of `item` at `site` can be moved by; "" where by nothing."""
        scopes = (("", ""), (site, ""), ("", item), (site, item))
        return b"".join(self._packed.get(scope, b"") for scope in scopes) + self._country.encode()


def inputs_hash(origin: int, period_days: int, request: Request, touching: Touching | None = None) -> str:
    """What a forecast was made from, as 16 hex digits: equal inputs need no new forecast."""
    moved = touching.digest(request.site, request.item) if touching else b""
    packed = msgspec.msgpack.encode((CODE_VERSION, origin, period_days, request, moved))
    return hashlib.sha256(packed).hexdigest()[:16]


class Calibration(msgspec.Struct, frozen=True):
    """At which levels a class must be asked so that, at past origins, demand stayed below as often as `levels` promise.

    `asked` stands beside `levels`, for the small, middling and large forecasts of the class: `edges` are the two means
    over the horizon between them. `error` is the mean absolute error of demand over the horizon relative to its mean;
    `scores` is the number of past forecasts it rests on.
    """

    levels: tuple[float, ...]
    edges: tuple[float, float]
    asked: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
    error: float
    scores: int


class Effect(msgspec.Struct, frozen=True):
    """What was learnt of a driver: the `verdict`; `beta` by which log demand changes with its value, relative to `ordinary`;
    and the number of past forecasts it rests on.
    """

    verdict: Verdict
    beta: float
    ordinary: float
    scores: int


class Batch(msgspec.Struct, frozen=True):
    """Series to forecast from one origin (an ordinal date). `known` is used where a class has too few past forecasts,
    `effects`, by name of the driver, where it has too few to judge a driver as well.

    `backtests` bounds the past origins behind weights, drivers and calibration; 0 for none. `country` (ISO 3166) has the
    public holidays that count; `drivers` enter where they earn it. Where a batch `teaches`, its answer holds the `models` that
    were learnt, for batches that shall not learn their own (`teaching.py`).
    """

    origin: int
    requests: tuple[Request, ...]
    period_days: int = 1
    backtests: int = 26
    known: dict[str, Calibration] = {}
    country: str = ""
    drivers: tuple[Driver, ...] = ()
    effects: dict[str, Effect] = {}
    teaches: bool = False
    models: bytes = b""


class Forecast(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The demand of one item at one site, as foreseen from `origin` (ISO date); immutable once made.

    `quantiles` (at `levels`) are of the demand over the horizon: lead time, which varies, plus review. `fan[p][k]` is
    the quantile at `fan_levels[k]` of period p's demand. `rate` is the mean demand per period, `line_size` the mean of
    a period that had any. `error` is the class's relative error at past origins. `weights` stand beside `models`; `drivers`
    are those that could have moved it, with the reason why they did or did not; `lent` as in the request. All in base units
    and periods.
    """

    version: str
    site: str
    item: str
    origin: str
    period_days: int
    demand_class: DemandClass
    models: tuple[str, ...]
    history: int
    censored: int
    lead_time: float
    lead_time_sd: float
    review: float
    rate: float
    line_size: float
    mean: float
    levels: tuple[float, ...]
    quantiles: tuple[float, ...]
    fan_levels: tuple[float, ...]
    fan: tuple[tuple[float, ...], ...]
    error: float
    inputs: str
    weights: tuple[float, ...] = ()
    drivers: tuple[Verdict, ...] = ()
    lent: str = ""

    @property
    def horizon(self) -> float:
        """Mean lead time plus review, in periods."""
        return self.lead_time + self.review

    def quantile(self, level: float) -> float:
        """Demand over the horizon that is not exceeded with probability `level`, linear between the stored levels."""
        at = bisect_right(self.levels, level)
        if at == 0:
            return self.quantiles[0]
        if at == len(self.levels):
            return self.quantiles[-1]
        low, high = self.levels[at - 1], self.levels[at]
        share = (level - low) / (high - low)
        return self.quantiles[at - 1] * (1 - share) + self.quantiles[at] * share

    def exceeded(self, quantity: float) -> float:
        """The probability that demand over the horizon is greater than `quantity`; the inverse of `quantile`."""
        if quantity < 0:
            return 1.0
        at = bisect_right(self.quantiles, quantity)
        if at == len(self.quantiles):
            return 1 - self.levels[-1]
        high, high_level = self.quantiles[at], self.levels[at]
        low, low_level = (self.quantiles[at - 1], self.levels[at - 1]) if at else (0.0, 0.0)
        return 1 - (low_level + (high_level - low_level) * (quantity - low) / (high - low))


class Forecasts(msgspec.Struct, frozen=True):
    """The answer to a batch, in the order of its requests, and what was learnt about each class."""

    forecasts: tuple[Forecast, ...]
    calibration: dict[str, Calibration]
    verdicts: tuple[Verdict, ...] = ()
    effects: dict[str, Effect] = {}
    models: bytes = b""
