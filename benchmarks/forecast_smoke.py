"""Default forecasts against seasonal naive on a demand file: `python benchmarks/forecast_smoke.py FILE [options]`.

FILE: Parquet or CSV with columns site, sku, date, quantity (design section 8), or name others by options. Prints JSON:
errors relative to total demand, coverage of the lead-time quantiles, seconds per 1,000 series.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import date

import numpy as np
import pandas as pd

from cloud.forecasts.forecast import Batch, Request
from cloud.forecasts.predict import forecast
from cloud.forecasts.statsforecast_adapter import point_forecasts

COVERAGE = (0.5, 0.9, 0.95, 0.99)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    for name in ("site", "sku", "date", "quantity"):
        parser.add_argument(f"--{name}", default=name, help=f"column that holds the {name}")
    parser.add_argument("--period", type=int, default=7, help="days in a period")
    parser.add_argument("--horizon", type=int, default=8, help="periods")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--series", type=int, default=500, help="at most, evenly chosen")
    parser.add_argument("--least", type=int, default=2, help="demands that a series has before the first origin")
    parser.add_argument("--season", type=int, default=0, help="periods; 0: a year of weeks, a week of days")
    parser.add_argument("--backtests", type=int, default=2)
    args = parser.parse_args()
    table = pd.read_parquet(args.file) if args.file.endswith("parquet") else pd.read_csv(args.file)
    matrix = _matrix(table, args)
    print(json.dumps(_measure(matrix, args), indent=1))


def _matrix(table: pd.DataFrame, args: argparse.Namespace) -> np.ndarray:
    keys = [column for column in (args.site, args.sku) if column in table.columns]
    when = table[args.date]
    if not pd.api.types.is_numeric_dtype(when):
        days = pd.to_datetime(when)
        when = (days - days.min()).dt.days // args.period
    quantity = table[args.quantity].clip(lower=0)
    wide = table.assign(_when=when, _q=quantity).pivot_table(index=keys, columns="_when", values="_q", aggfunc="sum")
    wide = wide.reindex(columns=range(int(wide.columns.min()), int(wide.columns.max()) + 1)).fillna(0)
    values = wide.to_numpy(dtype=float)
    first = values.shape[1] - args.folds * args.horizon
    values = values[(values[:, :first] > 0).sum(axis=1) >= args.least]
    step = max(1, len(values) // args.series)
    return np.round(values[::step][: args.series])


def _measure(matrix: np.ndarray, args: argparse.Namespace) -> dict[str, object]:
    start, horizon = date(2000, 1, 3).toordinal(), args.horizon
    season = args.season or (7 if args.period == 1 else 52)
    season = season if matrix.shape[1] - args.folds * horizon >= season + 1 else 1
    sums: dict[str, float] = {}
    cover: dict[str, dict[float, list[float]]] = {}
    pinball = 0.0
    seconds = 0.0
    for fold in range(args.folds, 0, -1):
        cut = matrix.shape[1] - fold * horizon
        requests = tuple(
            Request("s", str(row), start, tuple(int(v) for v in values[:cut]), float(horizon - 1), 0.0, 1.0)
            for row, values in enumerate(matrix)
        )
        began = time.perf_counter()
        made = forecast(Batch(start + cut * args.period, requests, args.period, args.backtests), point_forecasts)
        seconds += time.perf_counter() - began
        future = matrix[:, cut : cut + horizon]
        naive = matrix[:, [cut - season + step % season for step in range(horizon)]]
        total = future.sum(axis=1)
        mean = np.asarray([one.mean for one in made.forecasts])
        for name, error in {
            "lead_time_wape": np.abs(mean - total).sum(),
            "wape_flat": np.abs(mean[:, None] / horizon - future).sum(),
            "naive_lead_time_wape": np.abs(naive.sum(axis=1) - total).sum(),
            "naive_wape": np.abs(naive - future).sum(),
            "bias": (mean - total).sum(),
            "demand": total.sum(),
        }.items():
            sums[name] = sums.get(name, 0.0) + float(error)
        for one, came in zip(made.forecasts, total, strict=True):
            for level in COVERAGE:
                hit = came <= one.quantile(level)
                cover.setdefault("all", {}).setdefault(level, []).append(hit)
                cover.setdefault(one.demand_class, {}).setdefault(level, []).append(hit)
            short = came - one.quantile(0.99)
            pinball += float(max(0.99 * short, -0.01 * short))
    demand = sums.pop("demand")
    return {
        "series": len(matrix),
        "periods": matrix.shape[1],
        "season": season,
        **{name: round(value / demand, 4) for name, value in sums.items()},
        "pinball_0.99": round(pinball / demand, 4),
        "coverage": {
            name: {str(level): round(float(np.mean(hits)), 3) for level, hits in levels.items()}
            | {"n": len(levels[0.5])}
            for name, levels in sorted(cover.items())
        },
        "seconds_per_1000": round(seconds / args.folds / len(matrix) * 1000, 2),
    }


if __name__ == "__main__":
    main()
