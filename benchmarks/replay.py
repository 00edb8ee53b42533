"""What a forecast would have saved on a demand file, and its frontier as a drawing.

`python -m benchmarks.replay DEMAND [ITEMS] [--half even|odd|all] [--unserved lost] [--steady plain] [--svg FILE]`; files as for
the replay command. A half is by the last bit of SHA-256 of the SKU: choices were made on the even half, the odd one is for
reporting. Prints the command's JSON, without the frontier. Without a file it plays a made-up store, to see that it runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.steady_level import steady_level
from cloud.decisions import inventory
from cloud.replay import foresight, policies
from cloud.replay.history import History
from cloud.replay.kpis import Kpis
from cloud.replay.replay import Replay, replay
from cloud.replay.tables import read_history
from cloud.replay.words import as_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demand", type=Path, nargs="?")
    parser.add_argument("items", type=Path, nargs="?")
    parser.add_argument("--half", choices=("even", "odd", "all"), default="all")
    parser.add_argument(
        "--steady",
        choices=("plain", "calibrated"),
        help="the steadier level (steady_level.py), with its plain quantiles or not",
    )
    parser.add_argument("--unserved", choices=("waits", "lost"), default="waits")
    parser.add_argument("--svg", type=Path, help="draw the frontier there")
    given = parser.parse_args()
    table = read_history(given.demand, given.items) if given.demand else read_history(made_up())
    history = half(table.history, given.half)
    begun = time.perf_counter()
    with patched(steady_level(given.steady == "calibrated") if given.steady else {}):
        found = replay(history, unserved=given.unserved)
    told = as_json(found, table.supposed)
    del told["frontier"]
    print(json.dumps({"half": given.half, "seconds": round(time.perf_counter() - begun, 1), **told}))
    if given.svg:
        given.svg.write_text(drawing(found))


def half(history: History, wanted: str) -> History:
    """The SKUs of a half."""
    odd = np.asarray([bool(hashlib.sha256(sku.encode()).digest()[-1] & 1) for _, sku in history.names])
    rows = {"odd": odd, "even": ~odd, "all": np.ones_like(odd)}[wanted]
    return history.rows(np.flatnonzero(rows))


@contextmanager
def patched(changed: Mapping[str, Any]) -> Generator[None]:
    """Names of the policy and its foresight replaced while a variant is played."""
    kept: list[tuple[Any, str, Any]] = []
    for name, value in changed.items():
        module = next(module for module in (inventory, policies, foresight) if hasattr(module, name))
        kept.append((module, name, getattr(module, name)))
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in kept:
            setattr(module, name, value)


def drawing(found: Replay) -> str:
    """The frontier as SVG: value fill over stock value; a line for each share of value, opponents and oracle as points."""
    points = {name: one for name, one in found.policies.items() if name != "dynamic"} | {"oracle": found.oracle}
    points |= {f"chosen against {one.opponent}": one.chosen.kpis for one in found.comparisons}
    most = max(one.stock_value for one in points.values()) * 1.25
    least = min(one.value_fill for one in points.values()) - 0.1

    def at(one: Kpis) -> tuple[float, float]:
        return 60 + 600 * one.stock_value / most, 20 + 340 * (1 - one.value_fill) / (1 - least)

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 410" font-family="system-ui, sans-serif" font-size="12">',
        '<rect width="960" height="410" fill="#fff"/><path d="M60 20V360H660" fill="none" stroke="#889"/>',
        '<text x="360" y="395" text-anchor="middle">average stock value</text>',
        '<text x="16" y="190" transform="rotate(-90 16 190)" text-anchor="middle">value fill</text>',
    ]
    for step in range(5):
        fill, value = least + (1 - least) * step / 4, most * step / 4
        parts.append(f'<text x="54" y="{364 - 85 * step}" text-anchor="end">{fill:.0%}</text>')
        parts.append(f'<text x="{60 + 150 * step}" y="376" text-anchor="middle">{value:,.0f}</text>')
    for number, share in enumerate(sorted({point.value_share for point in found.frontier})):
        line = [at(p.kpis) for p in found.frontier if p.value_share == share]
        path = " ".join(f"{x:.0f},{y:.0f}" for x, y in line if x <= 660 and y <= 360)
        dash = ("", "8 4", "4 4", "2 4")[number % 4]
        parts.append(f'<polyline points="{path}" fill="none" stroke="#0b6e6e" stroke-dasharray="{dash}"/>')
        y = 40 + 18 * number
        parts.append(f'<path d="M690 {y}h30" stroke="#0b6e6e" stroke-dasharray="{dash}"/>')
        parts.append(f'<text x="726" y="{y + 4}">forecast, {share:.0%} of value</text>')
    for number, (name, one) in enumerate(points.items()):
        colour = "#1c7a3d" if name == "oracle" else "#0b6e6e" if name.startswith("chosen") else "#b3261e"
        x, y = at(one)
        parts.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="8" fill="{colour}"/>')
        parts.append(f'<text x="{x:.0f}" y="{y + 4:.0f}" fill="#fff" text-anchor="middle">{number + 1}</text>')
        parts.append(f'<text x="690" y="{140 + 18 * number}" fill="{colour}">{number + 1} {name}</text>')
    return "\n".join([*parts, "</svg>\n"])


def made_up() -> Path:
    """A year and a half of weeks of forty made-up spare parts."""
    drawn = np.random.default_rng(1)
    lines = ["sku,date,quantity,price"]
    for item in range(40):
        rate, size, price = drawn.uniform(0.1, 0.8), drawn.integers(1, 12), drawn.lognormal(2, 1)
        for week in range(80):
            if drawn.random() < rate:
                day = date(2024, 1, 1) + timedelta(days=7 * week)
                lines.append(f"part-{item},{day},{1 + drawn.poisson(size)},{price:.2f}")
    path = Path(tempfile.mkdtemp()) / "demand.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


if __name__ == "__main__":
    main()
