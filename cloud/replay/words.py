"""A replay in words and as the JSON of the command: what would have been saved and what not, service always beside it. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from cloud.replay.games import OWN_LEVELS, OWN_ORDERS, ROLLING, STATIC, WITH_REVIEW
from cloud.replay.kpis import Kpis
from cloud.replay.replay import Comparison, Point, Replay

#: Opponents as people call them.
OPPONENTS = {
    STATIC: "the textbook reorder point (95 %, over the lead time)",
    WITH_REVIEW: "the textbook reorder point over lead time and review",
    ROLLING: "a reorder point from the last year's mean and spread, made new every four weeks",
    OWN_LEVELS: "your own Min and Max",
    OWN_ORDERS: "your own orders as they came",
}
#: Change below which a share is called the same.
_SAME = 0.005


def sentences(comparison: Comparison) -> tuple[str, ...]:
    """What one comparison says: money, then service with all three figures, then what it did not reach and what is not sure."""
    old, new = comparison.opponent_kpis, comparison.chosen.kpis
    who = OPPONENTS.get(comparison.opponent, comparison.opponent)
    before, after = old.carrying_cost + old.order_cost, new.carrying_cost + new.order_cost
    share = after / before - 1 if before else 0.0
    cost = "cost about the same"
    if abs(share) >= _SAME:
        by = f"{abs(before - after):,.0f} a year"
        cost = f"{f'saved {by}' if share < 0 else f'cost {by} more'} ({_percent(share)})"
    money = (
        f"Against {who}, holding and ordering would have {cost}, with a value fill of {new.value_fill:.1%} "
        f"instead of {old.value_fill:.1%}; turnover {old.turnover:.2f} to {new.turnover:.2f}, excess and obsolete stock "
        f"{old.excess_obsolete:,.0f} to {new.excess_obsolete:,.0f}."
    )
    service = (
        f"Demand not fully served at once: {old.line_stockout:.1%} to {new.line_stockout:.1%} of the times; units served at "
        f"once {old.unit_fill:.1%} to {new.unit_fill:.1%}; by value {old.value_fill:.1%} to {new.value_fill:.1%}."
    )
    worse = _worse(old, new)
    lost = f"Not saved: {', '.join(worse)}." if worse else "No figure became worse."
    low, _, high = comparison.band["carrying_cost"]
    told = (money, service, lost)
    if _percent(low) != _percent(high):
        told += (f"Over the draws of lead times the carrying cost changes by {_percent(low)} to {_percent(high)}.",)
    if comparison.opponent == OWN_ORDERS:
        told += (
            "Where demand is known from issues alone, what was wanted while stock was out is not known, so your own orders "
            "look as if they had served it.",
        )
    if not comparison.reached:
        told += ("Nowhere on its slider does the forecast serve as much of the value as this opponent.",)
    return told


def _worse(old: Kpis, new: Kpis) -> list[str]:
    """What became worse by more than half a point."""
    names = {
        "turnover": "turnover", "excess_obsolete": "excess and obsolete stock", "carrying_cost": "carrying cost",
        "order_cost": "order cost", "line_stockout": "line stock-outs", "unit_fill": "unit fill", "value_fill": "value fill",
    }  # fmt: skip
    found: list[str] = []
    for figure, name in names.items():
        before, after = float(getattr(old, figure)), float(getattr(new, figure))
        fill = figure.endswith("fill")
        if not before and figure == "line_stockout" and after > _SAME:
            found.append(f"{name} none to {after:.1%}")
            continue
        by = after - before if fill else (after / before - 1 if before else 0.0)
        if (by < -_SAME) if fill or figure == "turnover" else (by > _SAME):
            found.append(f"{name} {by * 100:+.1f} points" if fill else f"{name} {_percent(by)}")
    return found


def _percent(share: float) -> str:
    return f"{share * 100:+.0f} %"


def as_json(replay: Replay, supposed: tuple[str, ...] = ()) -> dict[str, Any]:
    """The command's JSON: `policies`, `frontier` and `oracle` as the contract has them, and what they rest on."""
    begin, measured, end = replay.calendar
    return {
        "policies": {name: msgspec.structs.asdict(one) for name, one in replay.policies.items()},
        "frontier": [_point(point) for point in replay.frontier],
        "oracle": msgspec.structs.asdict(replay.oracle),
        "comparisons": [
            {
                "opponent": one.opponent,
                "chosen_before": _point(one.chosen),
                "best_in_hindsight": _point(one.hindsight),
                "change": {
                    name: {"least": low, "mean": mean, "most": high} for name, (low, mean, high) in one.band.items()
                },
                "same_value_fill_reached": one.reached,
                "words": sentences(one),
            }
            for one in replay.comparisons
        ],
        "series": replay.series,
        "left_out": replay.left_out,
        "calendar": {"learnt_before": begin, "measured_from": measured, "end": end, "period_days": replay.period_days},
        "unserved": replay.unserved,
        "seeds": replay.seeds,
        "supposed": supposed,
    }


def _point(point: Point) -> dict[str, float]:
    return {
        "stockout_value": point.stockout_value,
        "value_share": point.value_share,
        "cycle_service": point.service,
        **msgspec.structs.asdict(point.kpis),
    }
