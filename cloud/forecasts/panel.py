"""Many series as one table whose last column ends at the origin: what vectorised models look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Counts = NDArray[np.intp]


@dataclass(frozen=True)
class Panel:
    """`demand` (series, periods), zero before a series began; `first` is the first period with demand, else their number.

    An *origin* is a column: what is known at it are the columns before it.
    """

    demand: Values

    @classmethod
    def of(cls, series: Sequence[Values]) -> Panel:
        """Series that all end at the same origin."""
        demand = np.zeros((len(series), max((len(one) for one in series), default=0)))
        for row, one in zip(demand, series, strict=True):
            if len(one):
                row[-len(one) :] = one
        return cls(demand)

    @property
    def length(self) -> int:
        """Periods, and so the column of the present origin."""
        return self.demand.shape[1]

    @cached_property
    def first(self) -> Counts:
        """The first period with demand of each series; `length` where there is none."""
        wanted = self.demand > 0
        if not wanted.size:
            return np.zeros(len(self.demand), dtype=np.intp)
        return np.where(wanted.any(axis=1), wanted.argmax(axis=1), self.length)

    @cached_property
    def cumulated(self) -> tuple[Values, Values, Values]:
        """Number of demands, their sum and the sum of their squares before each column, (series, length + 1)."""
        parts = (self.demand > 0).astype(np.float64), self.demand, self.demand**2
        made = tuple(np.zeros((len(self.demand), self.length + 1)) for _ in parts)
        for part, sums in zip(parts, made, strict=True):
            np.cumsum(part, axis=1, out=sums[:, 1:])
        return made[0], made[1], made[2]

    def sums(self, start: Counts, end: Counts) -> tuple[Values, Values, Values]:
        """Number, sum and sum of squares of the demands in columns start..end-1, for each pair: (series, pairs)."""
        number, total, squares = (part[:, end] - part[:, start] for part in self.cumulated)
        return number, total, squares

    @cached_property
    def last(self) -> Counts:
        """One more than the column of the last demand before each column, 0 for none: (series, length + 1)."""
        found = np.zeros((len(self.demand), self.length + 1), dtype=np.intp)
        at = np.where(self.demand > 0, np.arange(1, self.length + 1), 0)
        np.maximum.accumulate(at, axis=1, out=found[:, 1:])
        return found

    @cached_property
    def largest(self) -> Values:
        """The largest demand before each column, 0 for none: (series, length + 1)."""
        found = np.zeros((len(self.demand), self.length + 1))
        np.maximum.accumulate(self.demand, axis=1, out=found[:, 1:])
        return found

    def faded(self, alpha: float) -> tuple[Values, Values]:
        """Means of demand, and of whether there was any, since the first one and before each column, in which a period counts
        1 - `alpha` times as much as the next: (series, length + 1), 0 before the first.
        """
        if alpha not in self._faded:
            begun = np.arange(self.length)[None, :] >= self.first[:, None]
            weight, level, often = (_fading(part, alpha) for part in (begun, self.demand, self.demand > 0))
            counted = np.maximum(weight, 1e-12)
            self._faded[alpha] = level / counted, often / counted
        return self._faded[alpha]

    @cached_property
    def _faded(self) -> dict[float, tuple[Values, Values]]:
        return {}

    def rows(self, chosen: Counts) -> Panel:
        """The panel of some of its series."""
        return Panel(self.demand[chosen])


def _fading(values: NDArray[Any], alpha: float) -> Values:
    """Sums of the columns before each, each counting 1 - alpha times as much as the next."""
    found = np.zeros((len(values), values.shape[1] + 1))
    for column in range(values.shape[1]):
        found[:, column + 1] = (1 - alpha) * found[:, column] + values[:, column]
    return found
