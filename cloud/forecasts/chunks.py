"""Many series in chunks of bounded size, and what the chunks learnt of each class put together again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from cloud.forecasts.forecast import Calibration, Effect

#: Series in a chunk: what one learns from the others saturates well below, learning costs the same for one series as for
#: all of them, and a thousand days of this many series take half a gigabyte to forecast.
CHUNK = 5_000


def expected(known: Mapping[str, Calibration], share: float) -> dict[str, Calibration]:
    """What is known of each class, resting on the part of its past forecasts that a chunk with this `share` of all series has:
    a chunk with fewer of them than usual then keeps what is known instead of learning anew.
    """
    return {
        name: msgspec.structs.replace(one, scores=round(one.scores * min(max(share, 0.0), 1.0)))
        for name, one in known.items()
    }


def learnt(told: Mapping[str, Calibration], given: Mapping[str, Calibration]) -> dict[str, Calibration]:
    """What a chunk learnt anew: what it `told` beyond what it was `given`."""
    return {name: one for name, one in told.items() if one.scores and given.get(name) != one}


def merged(known: Mapping[str, Calibration], parts: Sequence[Mapping[str, Calibration]]) -> dict[str, Calibration]:
    """Classes as the `parts` learnt them, each weighted by the past forecasts behind it; others as they were `known`."""
    made = dict(known)
    for name in sorted({name for part in parts for name in part}):
        found = [part[name] for part in parts if name in part]
        weights = [one.scores for one in found]
        means = {field: _mean([getattr(one, field) for one in found], weights) for field in _MEASURED}
        made[name] = msgspec.structs.replace(found[0], scores=sum(weights), **means)
    return made


def heaviest(known: Mapping[str, Effect], parts: Sequence[Mapping[str, Effect]]) -> dict[str, Effect]:
    """The effect of each driver as the part with most past forecasts learnt it; of equal ones the first, others as `known`."""
    made = dict(known)
    found: dict[str, Effect] = {}
    for part in parts:
        for name, one in part.items():
            if name not in found or one.scores > found[name].scores:
                found[name] = one
    return made | {name: found[name] for name in sorted(found)}


_MEASURED = tuple(name for name in Calibration.__struct_fields__ if name != "scores")

#: A number, or tuples of them as deep as they go.
_Numbers = float | tuple["_Numbers", ...]


def _mean(values: Sequence[_Numbers], weights: Sequence[int]) -> _Numbers:
    """The weighted mean, place by place; values of different shapes do not mix: then the heaviest stands."""
    numbers = [one for one in values if not isinstance(one, tuple)]
    if len(numbers) == len(values):
        return sum(one * weight for one, weight in zip(numbers, weights, strict=True)) / sum(weights)
    rows = [one for one in values if isinstance(one, tuple)]
    if len(rows) < len(values) or len({len(row) for row in rows}) > 1:
        return values[max(range(len(values)), key=lambda at: weights[at])]
    return tuple(_mean(column, weights) for column in zip(*rows, strict=True))
