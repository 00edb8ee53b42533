"""Recorded device bytes become movements again, through the same rule, posting and ledger; the same every time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.config import Config
from gateway.devices.capture import Replayed, replay
from gateway.errors import PostingError
from gateway.ledger.file import LedgerFile, Receipt
from gateway.ledger.migrate import prepare
from gateway.observations.doors import DoorRule
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.rules import crossed
from vocabulary.records import Record

#: Microseconds between two looks at the doors, as in the daemon.
LOOK_US = 100_000
#: Microseconds after the last byte until every passage is over.
REST_US = 120_000_000


def movements_of(captures: Sequence[Path], config: Config, catalogue: Catalogue) -> Iterator[Record]:
    """The records that the daemon would have posted into an empty ledger for what `captures` hold, merged by arrival.

    Raises GatewayError when a file is no capture.
    """
    chunks = sorted((chunk for path in captures for chunk in replay(path)), key=lambda chunk: chunk.monotonic)
    with tempfile.TemporaryDirectory(prefix="evercount-replay-") as folder:
        path = Path(folder) / "ledger.db"
        prepare(path, epoch=1)
        file = LedgerFile(path)
        file.open()
        try:
            yield from _posted(chunks, DoorRule(config.door), file, catalogue)
        finally:
            file.close()


def _posted(chunks: Sequence[Replayed], rule: DoorRule, file: LedgerFile, catalogue: Catalogue) -> Iterator[Record]:
    moment = chunks[0].monotonic if chunks else 0
    for chunk in chunks:
        while moment < chunk.monotonic:
            moment = min(moment + LOOK_US, chunk.monotonic)
            yield from _decided(rule, moment, file, catalogue)
        rule.observe(chunk.sightings)
    for end in range(moment, moment + REST_US, LOOK_US):
        yield from _decided(rule, end, file, catalogue)


def _decided(rule: DoorRule, moment: int, file: LedgerFile, catalogue: Catalogue) -> Iterator[Record]:
    for crossing in rule.advance(moment):
        for intent in crossed(crossing).intents:
            (outcome,) = file.commit([[intent]], catalogue)
            if isinstance(outcome, Receipt):
                yield from outcome.records
            elif not isinstance(outcome, PostingError):
                raise outcome
