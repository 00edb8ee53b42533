"""Headquarters' error tree: a subclass only where the caller acts differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class CloudError(Exception):
    """Something a person or a program asked for cannot be done; the text is one clear sentence."""


class BadInputError(CloudError):
    """What was sent cannot be used as it is: the sender must change it."""


class BadRow(NamedTuple):
    """What is wrong with a row of a file or request, and what to do; `line` as its reader counts, `field` "" for the row."""

    line: int
    field: str
    text: str

    def sentence(self) -> str:
        """Field and text."""
        return f"{self.field}: {self.text}" if self.field else self.text


class BadRowsError(BadInputError):
    """Rows that cannot be used as they are: `rows` are the first ones, `count` is how many were found wrong."""

    def __init__(self, rows: Sequence[BadRow], count: int = 0, word: str = "row ") -> None:
        self.rows, self.count = tuple(rows), max(count, len(rows))
        told = f"{word}{rows[0].line}: {rows[0].sentence()}" if rows[0].line else rows[0].sentence()
        more = self.count - 1
        super().__init__(told + (f" (and {more} more {'fault' if more == 1 else 'faults'})" if more else ""))


class NotFoundError(CloudError):
    """There is no such thing, or the caller may not know of it."""


class ConflictError(CloudError):
    """The present state does not allow it; look again and decide anew."""


class DeniedError(CloudError):
    """The caller is known and may not do this."""


class UnauthorizedError(CloudError):
    """The caller is not known: no valid session, key or signature."""


class TooLargeError(CloudError):
    """A body or batch is beyond its bound."""


class BusyError(CloudError):
    """A bounded resource is in use; try again after `retry_after` seconds."""

    def __init__(self, text: str, retry_after: int = 1) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class RateLimitedError(BusyError):
    """The caller asks more often than it may."""
