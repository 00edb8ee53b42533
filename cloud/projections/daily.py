"""Changes of the daily figures of an item at a site, gathered before they are written."""

from __future__ import annotations

from collections.abc import Iterator

from cloud.projections.flows import ISSUED, RECEIVED, RETURNED, TRANSFERRED
from cloud.store import lanes

ORDERED, EMPTY_MINUTES = "ordered", "empty_minutes"
#: The figures of the table `daily`, in its order of columns.
FIGURES = (ORDERED, ISSUED, RECEIVED, RETURNED, TRANSFERRED, EMPTY_MINUTES)
#: Flows of movement lines that are daily figures.
DAILY_FLOWS = frozenset({ISSUED, RECEIVED, RETURNED, TRANSFERRED})
_COLUMN = {name: index for index, name in enumerate(FIGURES)}


class DailyChanges:
    """What is to be added to `daily`, by (item, day)."""

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str], list[int]] = {}

    def add(self, item: str, day: str, figure: str, amount: int) -> None:
        """Add `amount` to a figure of a day."""
        key = (item, day)
        row = self._changes.get(key)
        if row is None:
            row = self._changes[key] = [0] * len(FIGURES)
        row[_COLUMN[figure]] += amount

    def rows(self, site_id: str) -> Iterator[lanes.Row]:
        """Rows for the table, those that change nothing left out."""
        for (item, day), amounts in self._changes.items():
            if any(amounts):
                yield (site_id, item, day, *amounts)
