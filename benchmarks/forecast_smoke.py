"""Forecast defaults against other models on a demand file: `python -m benchmarks.forecast_smoke FILE [options]`.

FILE: Parquet or CSV with columns site, sku, date, quantity (design section 8), or name others by options. Every variant is
a set of models and a calibration, as in `defaults/level`; the first is compared with each other one, series by series.
Prints JSON: errors relative to total demand, coverage of the quantiles of demand over the horizon with its 95 % interval
(Wilson), pinball loss, paired differences with standard errors clustered by SKU, seconds per 1,000 series.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import sqrt

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cloud.forecasts import calibration
from cloud.forecasts.distribution import moments, quantiles, stood
from cloud.forecasts.forecast import Batch, Request
from cloud.forecasts.predict import DEFAULTS, Models, Outlook, columns, outlooks
from cloud.forecasts.statsforecast_adapter import point_forecasts

Values = NDArray[np.float64]

COVERAGE = (0.9, 0.95, 0.99)
#: Any Monday: only weekdays and distances count.
START = date(2000, 1, 3).toordinal()
#: Past forecasts that weigh as much as the belief that nothing need be moved; as in `calibration`.
PRIOR_SCORES = 30
#: Bound of a shift, standard deviations.
MOST_SHIFT = 4.0

_IMAPA_ADIDA_SES = ("IMAPA", "ADIDA", "SES")
_ALL = ("smooth", "erratic", "intermittent", "lumpy")
_SHORT = {"smooth": ("SES", "IMAPA", "Theta"), "erratic": ("SES", "IMAPA")}
_SPARSE = {"intermittent": _IMAPA_ADIDA_SES, "lumpy": _IMAPA_ADIDA_SES}
_SEASONAL = {"smooth": ("SeasonalNaive", "Theta")}
MODELS = {
    "defaults": DEFAULTS,
    "facts": Models({**_SHORT, **_SPARSE}, _SEASONAL),
    "naive": Models(dict.fromkeys(_ALL, ("Naive",)), {}),
    # days as they are, not put together into weeks; a model's own season stands behind the colon
    "daily": Models({**_SHORT, **_SPARSE, "smooth": ("SES", "IMAPA", "Theta:7")}, {}),
    "daily_season": Models(dict.fromkeys(_ALL, ("SeasonalNaive:7", "Theta:7")), {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    for name in ("site", "sku", "date", "quantity"):
        parser.add_argument(f"--{name}", default=name, help=f"column that holds the {name}")
    parser.add_argument("--period", type=int, default=7, help="days in a period")
    parser.add_argument("--horizon", type=int, default=8, help="periods")
    parser.add_argument(
        "--origins", type=int, nargs="+", help="first unknown periods; default: the last three horizons"
    )
    parser.add_argument("--half", choices=("even", "odd", "all"), default="all", help="last bit of SHA-256 of the SKU")
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=["defaults", "facts", "naive"])
    parser.add_argument("--calibrations", nargs="+", choices=("level", "shift", "none"), default=["level"])
    parser.add_argument("--series", type=int, default=1_000_000, help="at most, evenly chosen")
    parser.add_argument("--least", type=int, default=2, help="demands that a series has before the first origin")
    parser.add_argument("--season", type=int, default=0, help="of naive, periods; 0: a year")
    parser.add_argument("--backtests", type=int, default=2)
    parser.add_argument("--class", dest="only", help="count only series of this class at their origin")
    args = parser.parse_args()
    table = pd.read_parquet(args.file) if args.file.endswith("parquet") else pd.read_csv(args.file)
    skus, matrix, origins = _matrix(table, args)
    print(json.dumps(_Comparison(args, skus, matrix, origins).report(), indent=1))


def _matrix(table: pd.DataFrame, args: argparse.Namespace) -> tuple[list[str], Values, list[int]]:
    keys = [column for column in (args.site, args.sku) if column in table.columns]
    when = table[args.date]
    if not pd.api.types.is_numeric_dtype(when):
        days = pd.to_datetime(when)
        first = days.min()
        months = (days.dt.year - first.year) * 12 + days.dt.month - first.month
        when = months if args.period >= 28 else (days - first).dt.days // args.period
    table = table.assign(_when=when, _q=table[args.quantity].clip(lower=0))
    wide = table.pivot_table(index=keys, columns="_when", values="_q", aggfunc="sum").sort_index()
    wide = wide.reindex(columns=range(int(wide.columns.min()), int(wide.columns.max()) + 1)).fillna(0)
    values = np.round(wide.to_numpy(dtype=float))
    skus = [str(key) for key in wide.index.get_level_values(args.sku)]
    origins = args.origins or [values.shape[1] - fold * args.horizon for fold in (3, 2, 1)]
    keep = (values[:, : origins[0]] > 0).sum(axis=1) >= args.least
    if args.half != "all":
        keep &= np.asarray([_odd(sku) == (args.half == "odd") for sku in skus])
    rows = np.flatnonzero(keep)
    rows = rows[:: max(1, len(rows) // args.series)][: args.series]
    return [skus[row] for row in rows], values[rows], origins


def _odd(sku: str) -> bool:
    return bool(hashlib.sha256(sku.encode()).digest()[-1] & 1)


@dataclass(slots=True)
class _Scores:
    """One variant's losses, a row per series and origin."""

    error: Values
    bias: Values
    rmsse: Values
    hits: Values
    pinball: Values
    seconds: float


class _Comparison:
    """The variants of one run, all scored on the same series and origins."""

    def __init__(self, args: argparse.Namespace, skus: list[str], matrix: Values, origins: list[int]) -> None:
        self.args, self.matrix, self.origins = args, matrix, origins
        self.clusters = np.unique(np.tile(np.asarray(skus), len(origins)), return_inverse=True)[1]
        self.cache: dict[tuple[str, int, int, bytes], Values] = {}
        self.horizon: int = args.horizon
        self.total = np.concatenate([matrix[:, at : at + self.horizon].sum(axis=1) for at in origins])
        self.scale, self.level = (np.concatenate(column) for column in zip(*map(self._in_sample, origins), strict=True))
        first = [self._outlooks("defaults", at) for at in origins]
        self.classes = np.asarray([one.demand_class for made in first for one in made])
        self.counted = (self.classes == args.only) if args.only else np.ones(len(self.classes), dtype=bool)

    def report(self) -> dict[str, object]:
        variants = [(models, way) for models in self.args.models for way in self.args.calibrations]
        scores = {f"{models}/{way}": self._score(models, way) for models, way in variants}
        base = next(iter(scores))
        return {
            "series": len(self.matrix),
            "forecasts": int(self.counted.sum()),
            "periods": self.matrix.shape[1],
            "origins": self.origins,
            "classes": {str(k): int(v) for k, v in zip(*np.unique(self.classes, return_counts=True), strict=True)},
            "variants": {name: self._summary(one) for name, one in scores.items()},
            "differences": {
                f"{base} - {name}": self._difference(scores[base], one) for name, one in scores.items() if name != base
            },
        }

    def _score(self, name: str, way: str) -> _Scores:
        began = time.perf_counter()
        parts: list[tuple[Values, ...]] = []
        for at in self.origins:
            made = self._outlooks(name, at)
            future = self.matrix[:, at : at + self.horizon]
            path = np.asarray([one.path[: self.horizon] if len(one.path) else np.zeros(self.horizon) for one in made])
            mean = np.asarray([one.over[0] for one in made])
            parts.append((mean, np.sqrt(((path - future) ** 2).mean(axis=1)), self._quantiles(name, way, at, made)))
        seconds = time.perf_counter() - began
        mean, rmse, promised = (np.concatenate(column) for column in zip(*parts, strict=True))
        short = self.total[:, None] - promised
        tau = np.asarray(COVERAGE)[None, :]
        return _Scores(
            error=np.abs(mean - self.total),
            bias=mean - self.total,
            rmsse=rmse / np.where(self.scale > 0, self.scale, np.nan),
            hits=(self.total[:, None] <= promised + 1e-9).astype(float),
            pinball=np.maximum(tau * short, (tau - 1) * short),
            seconds=seconds,
        )

    def _quantiles(self, name: str, way: str, at: int, made: Sequence[Outlook]) -> Values:
        past: list[Outlook] = []
        came: list[Values] = []
        for back in range(1, self.args.backtests + 1) if way != "none" else ():
            cut = at - back * self.horizon
            if cut > 0:
                past += self._outlooks(name, cut)
                came.append(self.matrix[:, cut : cut + self.horizon].sum(axis=1))
        # as in `predict`: only of series that models forecast, then and now
        use = np.asarray(
            [bool(one.models) and bool(made[n % len(made)].models) for n, one in enumerate(past)], dtype=bool
        )
        realised = np.concatenate(came)[use] if came else np.zeros(0)
        past = [one for one, used in zip(past, use, strict=True) if used]
        over, was = columns(made), columns(past)
        learnt = np.full((len(made), len(COVERAGE)), COVERAGE)
        moved = np.zeros_like(learnt)
        for demand_class in DEFAULTS.short:
            rows = np.asarray([one.demand_class == demand_class for one in made])
            learn = np.asarray([one.demand_class == demand_class for one in past], dtype=bool)
            if learn.sum() < calibration.LEAST_SCORES:
                continue
            before = tuple(column[learn] for column in was)
            if way == "level":
                found = calibration.calibrate(stood(*before, realised[learn]), before[0], realised[learn])
                learnt[rows] = calibration.asked(COVERAGE, found)
            else:
                moved[rows] = _shift(before, realised[learn])
        result = quantiles(*over, learnt) + np.sqrt(over[1])[:, None] * moved
        return np.maximum.accumulate(np.maximum(result, 0.0), axis=1)

    def _outlooks(self, name: str, at: int) -> list[Outlook]:
        period = self.args.period
        daily = name.startswith("daily")
        period = 2 if daily else period  # any length but a day and a week: neither put together nor given a season
        times = (float(self.horizon - 1), 0.0, 1.0)
        requests = tuple(
            Request("s", str(row), START, tuple(int(v) for v in values[:at]), *times)
            for row, values in enumerate(self.matrix)
        )
        made = outlooks(Batch(START + at * period, requests, period), self._points, MODELS[name])
        for one in made if daily else ():
            if one.models and one.over[0] > 0:  # moments of a year of days, not of 52
                variance, none = moments(one.buckets, one.over[0] / self.horizon, one.demand_class, 364)
                one.over = one.over[0], variance * self.horizon, none**self.horizon
        return made

    def _points(self, model: str, histories: Sequence[Values], horizon: int, season: int) -> Values:
        name, _, own = model.partition(":")
        season = int(own or season)
        if name == "Naive":
            year = self.args.season or {1: 52, 7: 52}.get(self.args.period, 12)
            lags = [year if len(values) >= year else 1 for values in histories]
            paths = [values[len(values) - lag :] for values, lag in zip(histories, lags, strict=True)]
            return np.asarray([np.resize(path, horizon) for path in paths]).reshape(-1, horizon)
        keys = [(name, season, horizon, values.tobytes()) for values in histories]
        missing = [n for n, key in enumerate(keys) if key not in self.cache]
        if missing:
            found = point_forecasts(name, [histories[n] for n in missing], horizon, season)
            self.cache.update((keys[n], path) for n, path in zip(missing, found, strict=True))
        return np.asarray([self.cache[key] for key in keys]).reshape(-1, horizon)

    def _in_sample(self, at: int) -> tuple[Values, Values]:
        """Of each series since its first demand: root mean squared naive error, and mean demand over a horizon."""
        lived = [values[int(np.argmax(values > 0)) : at] for values in self.matrix]
        scale = [float(np.sqrt(np.mean(np.diff(one) ** 2))) if len(one) > 1 else 0.0 for one in lived]
        return np.asarray(scale), np.asarray([float(np.mean(one)) * self.horizon for one in lived])

    def _summary(self, one: _Scores) -> dict[str, object]:
        on, demand = self.counted, float(self.total[self.counted].sum())
        return {
            "lead_time_wape": round(float(one.error[on].sum()) / demand, 4),
            "bias": round(float(one.bias[on].sum()) / demand, 4),
            "rmsse": round(float(np.nanmean(one.rmsse[on])), 4),
            "coverage": {str(tau): _wilson(one.hits[on, k]) for k, tau in enumerate(COVERAGE)},
            "pinball": {str(tau): round(float(one.pinball[on, k].sum()) / demand, 4) for k, tau in enumerate(COVERAGE)},
            "scaled_pinball": {
                str(tau): round(float(np.mean(one.pinball[on, k] / self.level[on])), 4)
                for k, tau in enumerate(COVERAGE)
            },
            "seconds_per_1000": round(one.seconds / len(self.total) * 1000, 2),
        }

    def _difference(self, one: _Scores, other: _Scores) -> dict[str, str]:
        """Mean differences and standard errors, negative where the first is better."""
        on = self.counted
        clusters = self.clusters[on]
        pairs = {"lead_time_wape": (one.error - other.error, self.total), "rmsse": (one.rmsse - other.rmsse, None)}
        for k, tau in enumerate(COVERAGE):
            loss = one.pinball[:, k] - other.pinball[:, k]
            pairs[f"pinball {tau}"] = (loss, self.total)
            pairs[f"scaled_pinball {tau}"] = (loss / self.level, None)
        return {
            name: _clustered(loss[on], np.ones(len(clusters)) if size is None else size[on], clusters)
            for name, (loss, size) in pairs.items()
        }


def _shift(was: tuple[Values, ...], realised: Values) -> Values:
    """How far past quantiles lay too low, in standard deviations: the conformal calibration that was the default once."""
    above = realised[:, None] - quantiles(*was, COVERAGE)
    deviation = np.sqrt(was[1])[:, None]
    scores = np.where(deviation > 0, above / np.maximum(deviation, 1e-9), np.sign(above) * MOST_SHIFT)
    count = len(realised)
    ranks = [min(1.0, level * (count + 1) / count) for level in COVERAGE]
    found = np.asarray([np.quantile(scores[:, k], rank, method="higher") for k, rank in enumerate(ranks)])
    return count / (count + PRIOR_SCORES) * np.clip(found, -1.0, MOST_SHIFT)


def _wilson(hits: Values) -> str:
    n, share, z = len(hits), float(hits.mean()), 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return f"{share:.3f} [{middle - half:.3f}, {middle + half:.3f}]"


def _clustered(loss: Values, size: Values, clusters: NDArray[np.intp]) -> str:
    """Ratio of sums and its standard error, linearised, with clusters of rows that are not independent."""
    good = np.isfinite(loss)
    ratio = float(loss[good].sum() / size[good].sum())
    rest = np.bincount(clusters[good], weights=(loss - ratio * size)[good])
    groups = len(np.unique(clusters[good]))
    error = sqrt(float((rest**2).sum()) * groups / max(groups - 1, 1)) / float(size[good].sum())
    return f"{ratio:+.5f} +- {error:.5f}"


if __name__ == "__main__":
    main()
