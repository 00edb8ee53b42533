"""Forecasts against anchors on a demand file, on a half of its SKUs that nothing was chosen on.

`python -m benchmarks.forecast_accuracy FILE [--site Store --sku Dept --date Date --quantity Weekly_Sales] [options]`. FILE:
CSV or Parquet, a row for each demand, or with integers for periods instead of dates. Prints JSON: what `evercount-cloud
forecast backtest --json` prints, for the chosen half and origins; its seconds are of one core, whatever else the machine
does. Without FILE: a small drawn set, to see that it runs.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time

import msgspec
import numpy as np
import pandas as pd

from cloud.forecasts.boosted import learn
from cloud.forecasts.statsforecast_adapter import path_forecasts
from cloud.replay.backtest import Demand, backtest

#: A Monday, and a multiple of 30 days and of 7: where numbered periods begin.
START = 210 * 3_480


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?")
    for name in ("site", "sku", "date", "quantity"):
        parser.add_argument(f"--{name}", default=name, help=f"column that holds the {name}")
    parser.add_argument("--period", type=int, choices=(1, 7, 30), default=7, help="days in a period; 30 for a month")
    parser.add_argument("--horizon", type=int, default=8, help="periods")
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--skip", type=int, default=0, help="horizons left out at the end")
    parser.add_argument("--half", choices=("even", "odd", "all"), default="odd", help="last bit of SHA-256 of the SKU")
    parser.add_argument("--every", type=int, default=1, help="only each so many series")
    parser.add_argument("--country", default="", help="whose public holidays count")
    args = parser.parse_args()
    names, table = _drawn() if args.file is None else _table(args)
    chosen = [row for row, (_, sku) in enumerate(names) if args.half == "all" or _odd(sku) == (args.half == "odd")]
    chosen = chosen[:: args.every]
    end = table.shape[1] - args.skip * args.horizon
    demand = Demand(
        tuple(names[row] for row in chosen),
        table[chosen, :end],
        START,
        args.period,
        np.ones(len(chosen)),
        country=args.country,
    )
    found = backtest(
        demand,
        horizon=args.horizon,
        folds=args.folds,
        learn=learn,
        path_forecasts=path_forecasts,
        watch=time.process_time,
        progress=lambda stage, done, total: print(f"{done}/{total} {stage}", file=sys.stderr),
    )
    print(msgspec.json.encode(found).decode())


def _table(args: argparse.Namespace) -> tuple[list[tuple[str, str]], np.ndarray]:
    rows = pd.read_parquet(args.file) if args.file.endswith("parquet") else pd.read_csv(args.file)
    when = rows[args.date]
    if not pd.api.types.is_numeric_dtype(when):
        days = pd.to_datetime(when)
        first = days.min()
        months = (days.dt.year - first.year) * 12 + days.dt.month - first.month
        when = months if args.period == 30 else (days - first).dt.days // args.period
    keys = [column for column in (args.site, args.sku) if column in rows.columns]
    rows = rows.assign(_when=when, _quantity=rows[args.quantity].clip(lower=0))
    wide = rows.pivot_table(index=keys, columns="_when", values="_quantity", aggfunc="sum").sort_index()
    wide = wide.reindex(columns=range(int(wide.columns.min()), int(wide.columns.max()) + 1)).fillna(0)
    names = [("", str(key)) if len(keys) == 1 else (str(key[0]), str(key[1])) for key in wide.index]
    return names, np.round(wide.to_numpy(dtype=float))


def _drawn() -> tuple[list[tuple[str, str]], np.ndarray]:
    drawn = np.random.default_rng(1)
    level = drawn.gamma(0.6, 8.0, (200, 1))
    return [("", f"item-{row}") for row in range(200)], drawn.poisson(level, (200, 80)).astype(float)


def _odd(sku: str) -> bool:
    return bool(hashlib.sha256(sku.encode()).digest()[-1] & 1)


if __name__ == "__main__":
    main()
