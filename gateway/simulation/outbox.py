"""What a reader owes its client: a bounded buffer of tag reports and of events."""

from __future__ import annotations

from collections import deque
from typing import Final

from gateway.simulation.llrp.codec import Element, make
from gateway.simulation.tagreport import Batch

#: Percentage of the report buffer at which the client is warned.
_WARNING_PERCENT: Final = 80
#: Events kept while the client asked to hold them; older ones are lost, as the standard allows.
_EVENT_LIMIT: Final = 256


class Outbox:
    """Reports and events that wait for the client. The oldest reports go when `limit` tags are exceeded."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batches: deque[Batch] = deque()
        self._events: deque[Element] = deque(maxlen=_EVENT_LIMIT)
        self._warned = self._overflowed = False
        self.tags = 0
        self.dropped_tags = 0

    def put(self, batch: Batch) -> Element | None:
        """Add a batch; returns the event that this gives rise to, if any: filling up, or overflowing."""
        self._batches.append(batch)
        self.tags += len(batch.tags)
        dropped_before = self.dropped_tags
        while self.tags > self._limit:
            lost = len(self._batches.popleft().tags)
            self.tags -= lost
            self.dropped_tags += lost
        if self.dropped_tags > dropped_before and not self._overflowed:
            self._overflowed = True
            return make("ReportBufferOverflowErrorEvent")
        percent = self.tags * 100 // self._limit
        if percent >= _WARNING_PERCENT and not self._warned:
            self._warned = True
            return make("ReportBufferLevelWarningEvent", ReportBufferPercentageFull=percent)
        return None

    def take(self) -> Batch | None:
        """The oldest batch; None when there is none."""
        if not self._batches:
            self._warned = self._overflowed = False
            return None
        batch = self._batches.popleft()
        self.tags -= len(batch.tags)
        return batch

    def hold(self, event: Element) -> None:
        """Keep an event until the client wants events."""
        self._events.append(event)

    def release(self) -> list[Element]:
        """The events that were held, oldest first."""
        events = list(self._events)
        self._events.clear()
        return events
