"""What a forecast gains from campaigns of known effect, injected into real demand; prints JSON.

    python -m benchmarks.campaigns walmart_sales.parquet --sku Store,Dept --date Date --quantity Weekly_Sales --every 30
    python -m benchmarks.campaigns online_retail_dev.parquet --sku StockCode --date InvoiceDate --quantity Quantity --every 3

Each series gets campaigns of one week at random, 6 % of its weeks, which lift its demand by `true`; planned was `planned`. The
loss of the four weeks after three origins, and their error, without and with the plan; the verdict at the last origin.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cloud.forecasts.forecast import Batch, Driver, Forecasts, Request
from cloud.forecasts.predict import forecast

#: (uplift that comes, uplift that was planned)
CASES = ((0.6, 0.6), (0.6, 1.2), (0.3, 0.3), (0.0, 0.6))
SHARE, HORIZON, FOLDS, LEAST_DEMANDS, SEED = 0.06, 4, 3, 20, 11
LEVELS = (0.9, 0.95, 0.99)
Table = NDArray[np.float64]


def main() -> None:
    """Measure the file on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    for name in ("sku", "date", "quantity"):
        parser.add_argument(f"--{name}", default=name, help=f"column that holds the {name}; several with commas")
    parser.add_argument("--every", type=int, default=1, help="only each so many series")
    args = parser.parse_args()
    names, table, start = read(args.file, args.sku.split(","), args.date, args.quantity)
    names, table = names[:: args.every], table[:: args.every]
    plan = np.random.default_rng(SEED).random(table.shape) < SHARE
    plan[:, :6] = False
    cases = [measure(names, table, plan.astype(float), start, *case) for case in CASES]
    print(json.dumps({"series": len(names), "weeks": table.shape[1], "cases": cases}, indent=1))


def read(path: str, sku: list[str], day: str, quantity: str) -> tuple[list[str], Table, int]:
    """Weekly demand of the items that are wanted in enough weeks, by name, and the ordinal date of the first week."""
    rows = pq.read_table(path, columns=[*sku, day, quantity]).to_pydict()
    days = [_ordinal(one) for one in rows[day]]
    start = min(days) - min(days) % 7
    weeks = (max(days) - start) // 7
    found: dict[str, Table] = {}
    keys = zip(*(rows[one] for one in sku), strict=True)
    for key, at, amount in zip(keys, days, rows[quantity], strict=True):
        week = (at - start) // 7
        if week < weeks and amount and amount > 0:
            found.setdefault("/".join(map(str, key)), np.zeros(weeks))[week] += amount
    known = weeks - (FOLDS + 1) * HORIZON
    names = sorted(name for name, row in found.items() if (row[:known] > 0).sum() >= LEAST_DEMANDS)
    return names, np.stack([found[name] for name in names]), start


def _ordinal(value: Any) -> int:
    return value.toordinal() if hasattr(value, "toordinal") else date.fromisoformat(str(value)[:10]).toordinal()


def measure(names: list[str], table: Table, plan: Table, start: int, true: float, planned: float) -> dict[str, Any]:
    """One case: what came with campaigns of `true` uplift, foreseen without and with the plan."""
    demand = np.rint(table * (1 + true * plan))
    drivers = tuple(_driver(name, row, start, planned) for name, row in zip(names, plan, strict=True) if row.any())
    found: dict[str, Any] = {"true": true, "planned": planned}
    for label, used in (("without", ()), ("with", drivers)):
        loss = error = total = 0.0
        for fold in range(FOLDS, 0, -1):
            at = table.shape[1] - fold * HORIZON
            answer = forecast(_batch(names, demand[:, :at], start, used))
            came = demand[:, at : at + HORIZON].sum(axis=1)
            total += float(came.sum())
            loss += _loss(answer, came)
            error += sum(abs(one.mean - real) for one, real in zip(answer.forecasts, came, strict=True))
            found["verdict"] = answer.verdicts[0].reason if answer.verdicts else ""
        found[label] = {"pinball": round(loss / total, 4), "lead_time_wape": round(error / total, 4)}
    return found


def _driver(name: str, row: Table, start: int, planned: float) -> Driver:
    dates = tuple(int(start + 7 * week) for week in np.flatnonzero(row))
    values = (float(np.log1p(planned)),) * len(dates)
    return Driver("campaigns", dates, values, (True,) * len(dates), "", name, expected=True)


def _batch(names: list[str], demand: Table, start: int, drivers: tuple[Driver, ...]) -> Batch:
    requests = tuple(
        Request("", name, start, tuple(int(one) for one in row), HORIZON - 1.0, 0.0, 1.0)
        for name, row in zip(names, demand, strict=True)
    )
    return Batch(start + 7 * demand.shape[1], requests, 7, drivers=drivers)


def _loss(answer: Forecasts, came: Table) -> float:
    total = 0.0
    for one, real in zip(answer.forecasts, came.tolist(), strict=True):
        for level in LEVELS:
            short = real - one.quantile(level)
            total += max(level * short, (level - 1) * short)
    return total


if __name__ == "__main__":
    main()
