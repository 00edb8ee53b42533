"""Once a night: what the ledger amounts to, in a file beside it, and the file's hash in a record of the chain."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import msgspec

from gateway.ledger.file import LedgerFile, Receipt
from gateway.ledger.writer import LedgerWriter
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import Recorded
from vocabulary.records import Checkpoint
from vocabulary.stock import Stock, Unit

#: Snapshot files kept beside the ledger: the newest, and one in case it is damaged.
KEPT = 2


def snapshot(stock: Stock) -> bytes:
    """The stock as canonical JSON: equal stock gives equal bytes. Units that left the site are not in it."""
    return msgspec.json.encode(
        {
            "applied_seq": stock.applied_seq,
            "balances": sorted((*key, *amount) for key, amount in stock.balances.items()),
            "units": sorted(_unit(name, unit) for name, unit in stock.units.items()),
            "lots": sorted((*pair, expiry) for pair, expiry in stock.lots.items()),
            "counts": sorted((account.place, account.status, *mark) for account, mark in stock.counts.items()),
            "documents": [stock.documents[name] for name in sorted(stock.documents)],
            "done": sorted((name, sorted(lines.items())) for name, lines in stock.done.items()),
        }
    )


def _unit(name: str, unit: Unit) -> tuple[object, ...]:
    holds = sorted((*goods, *amount) for goods, amount in unit.holds.items())
    return (name, unit.account.place, unit.account.status, unit.container or "", unit.seq, unit.at, holds)


def record_for(stock: Stock, at: int) -> tuple[Checkpoint, bytes]:
    """The checkpoint record of `stock` at time `at` (microseconds UTC), and the snapshot that it names."""
    body = snapshot(stock)
    digest = sha256(body).hexdigest()
    return Checkpoint(at, len(stock.balances), len(stock.units), len(stock.documents), digest), body


def snapshots(ledger: Path) -> dict[int, Path]:
    """The snapshot files beside a ledger, by the seq of their checkpoint record, oldest first."""
    found = ledger.parent.glob(f"{ledger.name}.checkpoint-*")
    return dict(sorted((int(path.name.rpartition("-")[2]), path) for path in found))


async def take(writer: LedgerWriter, now: int) -> Receipt:
    """Write a snapshot beside the ledger and record its hash; older ones but the last are removed.

    Raises LedgerUnavailableError; then no checkpoint was recorded.
    """

    def work(file: LedgerFile) -> Receipt:
        file.flush()
        checkpoint, body = record_for(file.state.stock, now)
        path = writer.path.with_name(f"{writer.path.name}.checkpoint-{file.head.seq + 1}")
        with path.open("wb") as out:
            out.write(body)
            out.flush()
            os.fsync(out.fileno())
        (outcome,) = file.commit([[Recorded(occurred_at=now, record=checkpoint)]], Catalogue())
        if isinstance(outcome, Exception):
            path.unlink(missing_ok=True)
            raise outcome
        for old in list(snapshots(writer.path).values())[:-KEPT]:
            old.unlink(missing_ok=True)
        return outcome

    return await writer.perform(work)
