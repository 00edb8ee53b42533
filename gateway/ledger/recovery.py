"""A damaged ledger is moved aside, and every row of it that can still be read goes on in a new file.

Rows that chain from the first one keep seq, bytes and hash. One flipped bit in a row is put right: the hash tells which.
Rows behind one that is lost are recorded again in a new epoch that leaves the old one at the last good row; those that
headquarters holds already are marked as no movement for it. docs/decisions/0010-recovery-of-a-damaged-ledger.md has the
rules and their reasons.
"""

from __future__ import annotations

import os
import sqlite3
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec import UNSET

from gateway.errors import LedgerDamagedError, LedgerUnavailableError
from gateway.ledger.migrate import make, sync_folder
from gateway.ledger.packing import pack, unpack
from gateway.ledger.pages import FoundRow
from gateway.ledger.store import Branch
from gateway.ledger.survivors import BATCH, Survivors
from vocabulary.chain import genesis, link
from vocabulary.count import Count
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Movement
from vocabulary.records import Checkpoint, ClockRecord, decode, encode
from vocabulary.wire import OPENING_SNAPSHOT

#: Ranges of lost rows that the exception names.
RANGES_NAMED = 8
#: Fields of a movement that name an earlier row of the ledger.
REFERENCES = ("reverses", "replaces", "completes", "compensates", "count", "inspection")


class Recovery(msgspec.Struct, frozen=True):
    """What became of a damaged ledger. Rows by the seq that they had; ranges are (first, last).

    `kept` is the last row of the prefix, `mended` counts rows whose flipped bit was put right, `again` those recorded again
    in the new epoch, `held` those of them that headquarters held. `new_epoch` is False where every row was kept. `dropped`
    took back a row that is lost. `reconcile`: headquarters holds rows that the new file does not.
    """

    moved_to: str
    epoch: int
    new_epoch: bool
    kept: int
    mended: int
    again: int
    held: int
    lost: tuple[tuple[int, int], ...]
    dropped: tuple[int, ...]
    reconcile: bool
    text: str


def recover(path: Path, epoch: int, at: int = 0, held: int | None = None) -> Recovery:
    """Put a sound ledger with every readable row in the place of the damaged one at `path`; nobody may have it open.

    `epoch` names the branch that begins where rows are lost, `at` is the time (microseconds UTC), `held` the last row that
    headquarters holds, where that is known better than the file knows it. The damaged file stays beside it. Raises
    LedgerDamagedError when no row can be found, LedgerUnavailableError when the disk does not take the new file.
    """
    complete_recovery(path)
    draft, aside = beside(path, ".recovering"), beside(path, f".damaged-{at}")
    try:
        draft.unlink(missing_ok=True)
        make(draft, epoch)
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")  # a draft: after a crash it is made anew
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            recovery = _Recovering(path, connection, epoch, at, held).run(aside.name)
            connection.execute("COMMIT")
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        for suffix in ("", "-wal"):
            if beside(path, suffix).exists():
                os.link(beside(path, suffix), beside(aside, suffix))
        sync_folder(path.parent)
        draft.replace(beside(path, ".recovered"))
        complete_recovery(path)
    except LedgerDamagedError:
        draft.unlink(missing_ok=True)
        raise
    except (sqlite3.DatabaseError, OSError) as error:
        raise LedgerUnavailableError(f"{path} is damaged and could not be recovered yet: {error}") from error
    return recovery


def complete_recovery(path: Path) -> None:
    """Finish a recovery that was cut short after its file was complete. Raises OSError."""
    done = beside(path, ".recovered")
    if done.exists():
        for suffix in ("-wal", "-shm"):  # the damaged file's log must not be replayed into the new one
            beside(path, suffix).unlink(missing_ok=True)
        sync_folder(path.parent)
        done.replace(path)
        sync_folder(path.parent)


def readable_rows(path: Path) -> Iterator[FoundRow]:
    """The rows of a ledger that can be read, sound or damaged, in order, one for each seq, changing nothing: those that
    chain, then those behind the damage. Raises LedgerDamagedError when there is none, OSError.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as scratch:
        Survivors(path, scratch).gather()
        for table in ("ledger", "tail"):
            for row in scratch.execute(f"SELECT seq, epoch, body, hash FROM {table} ORDER BY seq"):
                found = FoundRow(*row)
                yield found._replace(body=unpack(found.body))


def epoch_of(path: Path) -> int:
    """The epoch under which the damaged ledger at `path` was written; 0 where nobody can tell. Raises OSError."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as scratch:
        branches = Survivors(path, scratch).read_names()
        return branches[-1].epoch if branches else 0


def beside(path: Path, suffix: str) -> Path:
    """The file beside `path` with the same name and `suffix` added."""
    return path.with_name(path.name + suffix)


class _Renumbered:
    """Old seq -> new seq of the rows that were recorded again."""

    def __init__(self) -> None:
        self._old, self._new = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._old)

    def add(self, old: int, new: int) -> None:
        self._old.append(old)
        self._new.append(new)

    def get(self, old: int) -> int | None:
        at = bisect_left(self._old, old)
        return self._new[at] if at < len(self._old) and self._old[at] == old else None


class _Recovering:
    """One recovery into the open draft `connection`, inside the caller's transaction."""

    def __init__(self, path: Path, connection: sqlite3.Connection, epoch: int, at: int, held: int | None) -> None:
        self._connection = connection
        self._found = Survivors(path, connection)
        self._epoch = epoch
        self._at = at
        self._told_held = held
        self._held = 0
        self._seq, self._hash = 0, b""
        self._renumbered = _Renumbered()
        self._leaders: dict[int, int] = {}
        self._lost: list[tuple[int, int]] = []
        self._dropped: list[int] = []
        self._again = self._again_held = 0

    def run(self, moved_to: str) -> Recovery:
        found, connection = self._found, self._connection
        connection.execute("DELETE FROM branch")
        found.gather()
        acknowledged = found.positions.get("acknowledged", (0, None))[0]
        self._held = max(0, acknowledged if self._told_held is None else self._told_held)
        self._find_lost()
        gone = bool(self._lost) or not found.branches or found.tail > 0
        if gone:
            self._branch_off()
        self._write_branches()
        self._seq, self._hash = found.last, found.hash
        if gone:
            self._record_again()
        self._write_positions(reconcile=gone and self._held > found.last)
        text = self._words(moved_to)
        self._append([encode(self._exception(moved_to, text))])
        connection.execute("DROP TABLE tail")
        return Recovery(
            moved_to=moved_to,
            epoch=found.branches[-1].epoch,
            new_epoch=gone,
            kept=found.last,
            mended=found.mended,
            again=self._again,
            held=self._again_held,
            lost=tuple(self._lost),
            dropped=tuple(self._dropped),
            reconcile=gone and self._held > found.last,
            text=text,
        )

    def _find_lost(self) -> None:
        expected = self._found.last + 1
        for (seq,) in self._connection.execute("SELECT seq FROM tail ORDER BY seq"):
            if seq > expected:
                self._lost.append((expected, seq - 1))
            expected = seq + 1
        last = max(self._held, self._found.proven_last)
        if last >= expected:
            self._lost.append((expected, last))

    # ---------------------------------------------------------------- the new branch

    def _branch_off(self) -> None:
        found = self._found
        branches = [branch for branch in found.branches if branch.parent_seq <= found.last]
        if branches:
            branches.append(Branch(self._epoch, branches[-1].epoch, found.last, found.hash))
        else:
            branches = [Branch(self._epoch, None, 0, genesis(self._epoch))]
            found.hash = branches[0].parent_hash
        found.branches = branches

    def _write_branches(self) -> None:
        branches = self._found.branches
        for number, branch in enumerate(branches, 1):
            self._connection.execute("INSERT INTO branch VALUES (?, ?, ?, ?, ?)", (number, *branch))
            until = branches[number].parent_seq if number < len(branches) else 2**62
            self._connection.execute(
                "UPDATE ledger SET epoch = ? WHERE seq > ? AND seq <= ? AND epoch <> ?",
                (branch.epoch, branch.parent_seq, until, branch.epoch),
            )

    def _write_positions(self, reconcile: bool) -> None:
        """The named rows; without 'applied' the derived tables are made again at the next start."""
        positions = {name: place for name, place in self._found.positions.items() if name != "applied"}
        positions["acknowledged"] = (min(self._held, self._found.last), None)
        if reconcile:
            positions["reconcile"] = (self._found.last, self._found.hash)
        self._connection.execute("DELETE FROM position")
        self._connection.executemany(
            "INSERT INTO position VALUES (?, ?, ?)", ((name, *place) for name, place in positions.items())
        )
        self._connection.executemany(
            "INSERT INTO retention VALUES (?, ?)", (cut for cut in self._found.retention if cut[0] <= self._found.last)
        )

    # ---------------------------------------------------------------- rows behind what is lost

    def _record_again(self) -> None:
        bodies: list[bytes] = []
        for seq, stored in self._connection.execute("SELECT seq, body FROM tail ORDER BY seq"):
            again = self._again_as(seq, unpack(stored))
            if again is None:
                continue
            self._again += 1
            self._again_held += seq <= self._held
            self._renumbered.add(seq, self._seq_of_next())
            bodies.append(again)
            if len(bodies) >= BATCH:
                self._append(bodies)
                bodies = []
        self._append(bodies)

    def _append(self, bodies: list[bytes]) -> None:
        rows: list[tuple[int, int, bytes, bytes]] = []
        for body in bodies:
            self._seq += 1
            self._hash = link(self._hash, body)
            rows.append((self._seq, self._found.branches[-1].epoch, pack(body), self._hash))
        self._connection.executemany("INSERT INTO ledger VALUES (?, ?, ?, ?)", rows)

    def _again_as(self, seq: int, body: bytes) -> bytes | None:
        """The canonical bytes under which row `seq` is recorded again, or None where it is not."""
        try:
            record = decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return body  # a kind of a newer version: proven by its hash, and it travels as it is
        held = seq <= self._held
        if isinstance(record, Checkpoint):
            return None  # it tells of rows that are not all there any more
        if isinstance(record, ClockRecord):
            return None if held else self._clock(seq, record)
        if isinstance(record, Count) and held:
            return encode(msgspec.structs.replace(record, rule=OPENING_SNAPSHOT))
        if isinstance(record, Movement):
            return self._movement(seq, record, held)
        if isinstance(record, ExceptionRecord) and record.cause is not UNSET:
            cause = self._now_at(record.cause)
            return encode(msgspec.structs.replace(record, cause=UNSET if cause is None else cause))
        return encode(record)

    def _now_at(self, seq: int) -> int | None:
        """Where row `seq` stands now; None where it is lost."""
        return seq if seq <= self._found.last else self._renumbered.get(seq)

    def _movement(self, seq: int, movement: Movement, held: bool) -> bytes | None:
        changes: dict[str, object] = {}
        for name in REFERENCES:
            target = getattr(movement, name)
            if target is UNSET:
                continue
            now = self._now_at(target)
            changes[name] = UNSET if now is None else now
            if name == "reverses" and now is None and target > self._held:
                self._dropped.append(seq)  # what it takes back is lost, and nobody else holds it: both or neither
                return None
        old = seq if movement.group is UNSET else movement.group
        leader = old if old <= self._found.last else self._leaders.setdefault(old, self._seq_of_next())
        changes["group"] = UNSET if leader == self._seq_of_next() else leader
        if held:
            changes["rule"] = OPENING_SNAPSHOT
        return encode(msgspec.structs.replace(movement, **changes))

    def _seq_of_next(self) -> int:
        return self._found.last + len(self._renumbered) + 1

    def _clock(self, seq: int, record: ClockRecord) -> bytes | None:
        """The same correction of what is left of its rows."""
        moved = [now for old in range(record.first_seq, record.last_seq + 1) if (now := self._now_at(old)) is not None]
        if not moved:
            return None
        return encode(msgspec.structs.replace(record, first_seq=moved[0], last_seq=moved[-1]))

    # ---------------------------------------------------------------- what people are told

    def _words(self, moved_to: str) -> str:
        found = self._found
        text = (
            f"The ledger's file was damaged; it was moved aside as {moved_to}. Rows up to {found.last} are as they were"
        )
        if found.mended:
            text += f", {found.mended} of them after a flipped bit was put right"
        if self._again:
            text += f"; {self._again} behind them were recorded again"
        if not self._lost:
            return text + "; no row is lost."
        count = sum(last - first + 1 for first, last in self._lost)
        named = ", ".join(
            f"{first}" if first == last else f"{first} to {last}" for first, last in self._lost[:RANGES_NAMED]
        )
        more = f" and {len(self._lost) - RANGES_NAMED} more ranges" if len(self._lost) > RANGES_NAMED else ""
        text += f". Lost here: {count} rows ({named}{more})"
        kept = sum(max(0, min(last, self._held) - first + 1) for first, last in self._lost)
        return text + (f", {kept} of them are at headquarters." if kept else ".")

    def _exception(self, moved_to: str, text: str) -> ExceptionRecord:
        lost = sum(last - first + 1 for first, last in self._lost)
        return ExceptionRecord(
            kind="ledger-damaged",
            subject=moved_to,
            state="open",
            at=self._at,
            text=text,
            action="Replace the disk or card, and count what moved last."
            if lost
            else "Replace the disk or card before it damages more.",
            facts={
                "kept_to": self._found.last,
                "mended": self._found.mended,
                "recorded_again": self._again,
                "lost": lost,
                "held_by_headquarters": self._held,
                "not_recorded_again": len(self._dropped),
            },
        )
