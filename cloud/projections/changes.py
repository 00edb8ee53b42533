"""News inside the process: what was committed, told to pages and long polls that wait for it.

Where several processes share a database, `neighbours.py` carries the news between them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

#: News kept for one slow reader; older ones are dropped and counted, the reader then reads the tables afresh.
BOUND = 256


class Change(NamedTuple):
    """A commit: the site ("" = network-wide), what changed, the site's arrival number, when it was committed (µs UTC).

    `kinds` are of: records, documents, downlink, recommendations, exceptions, gateways, master, cycle.
    """

    site_id: str
    kinds: tuple[str, ...]
    position: int
    committed_at: int


class Subscription:
    """One reader's bounded queue of news."""

    def __init__(self, bound: int = BOUND) -> None:
        self._news: deque[Change] = deque(maxlen=bound)
        self._arrived = asyncio.Event()
        #: news that this reader was too slow for
        self.missed = 0

    def offer(self, change: Change) -> None:
        """Add news; the oldest is dropped when the queue is full."""
        if len(self._news) == self._news.maxlen:
            self.missed += 1
        self._news.append(change)
        self._arrived.set()

    async def next(self) -> Change:
        """The next news, waiting for it."""
        while not self._news:
            self._arrived.clear()
            await self._arrived.wait()
        return self._news.popleft()


#: Kinds that the counters of the site's own row tell: a neighbour needs no other.
COUNTED = frozenset({"records", "downlink"})


class Changes:
    """Tells every subscriber what was committed; `counter` grows with each, so that a page can ask "anything new?".

    `shared`: several processes tell each other (`neighbours.follow`), and `counter` is the same in all of them.
    """

    def __init__(self) -> None:
        self.counter = 0
        self.shared = False
        #: sites ("" = the network) with commits that the neighbours were not told yet, in order; one entry each at most
        self.untold: dict[str, None] = {}
        #: set when the program stops: who waits for news goes home
        self.closed = False
        self._subscriptions: dict[int, Subscription] = {}
        self._next = 0

    def publish(self, change: Change) -> None:
        """Tell all subscribers; called after the commit has returned."""
        if not self.shared:
            self.counter += 1
        elif not COUNTED.issuperset(change.kinds):
            self.untold[change.site_id] = None
        self.tell(change)

    def tell(self, change: Change) -> None:
        """Tell this process's subscribers what a neighbour committed."""
        for subscription in self._subscriptions.values():
            subscription.offer(change)

    def close(self) -> None:
        """Wake every subscriber for the last time; called when the program stops."""
        self.closed = True
        self.publish(Change("", (), 0, 0))

    @contextmanager
    def subscribe(self) -> Generator[Subscription, None, None]:
        """A subscription that ends with the block."""
        number, self._next = self._next, self._next + 1
        subscription = self._subscriptions[number] = Subscription()
        try:
            yield subscription
        finally:
            del self._subscriptions[number]
