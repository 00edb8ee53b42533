"""Which rows of a damaged ledger can still be read, and which of them are proven to be what was written."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.errors import LedgerDamagedError
from gateway.ledger.packing import MARK as PACKED
from gateway.ledger.packing import RAW, WORDS_1, unpack
from gateway.ledger.pages import FoundRow, RawFile
from gateway.ledger.store import Branch
from vocabulary.chain import EPOCH_BITS, genesis, link
from vocabulary.records import decode, encode

#: Rows written to the scratch tables at once.
BATCH = 1_000
#: An epoch that was damaged may be none: the mask makes it one.
EPOCH_MASK = (1 << EPOCH_BITS) - 1
#: Rows beyond the last proven one within which an unproven row is believed to stand where it says.
BEYOND = 64

TABLES = """
CREATE TABLE IF NOT EXISTS ledger (seq INTEGER PRIMARY KEY, epoch INTEGER, body BLOB, hash BLOB);
CREATE TABLE found (seq INTEGER, epoch INTEGER, body BLOB, hash BLOB);
CREATE INDEX found_seq ON found (seq);
CREATE TABLE tail (seq INTEGER PRIMARY KEY, epoch INTEGER, body BLOB, hash BLOB);
"""
#: Damage may change even the types that SQLite returns: they are forced.
_SQL_ROWS = """
SELECT seq, CAST(epoch AS INTEGER), CAST(coalesce(body, x'') AS BLOB), CAST(coalesce(hash, x'') AS BLOB)
FROM ledger WHERE seq > ? ORDER BY seq
"""
_SQL_BRANCHES = """
SELECT epoch, parent, parent_seq, parent_hash FROM branch
WHERE typeof(epoch) = 'integer' AND typeof(parent_seq) = 'integer' AND typeof(parent_hash) = 'blob' ORDER BY number
"""
_IN_FOUND = "SELECT body, hash, epoch FROM found WHERE seq = ?"


class Fitting(NamedTuple):
    """A row that follows from the row before it, as it was stored."""

    body: bytes
    hash: bytes
    mended: bool


def follows(previous: bytes, stored: bytes, told: bytes) -> bool:
    """Whether the body stored as `stored` follows from the hash `previous` with the hash `told`."""
    return link(previous, unpack(stored)) == told


def fit(previous: bytes, stored: bytes, told: bytes) -> Fitting | None:
    """The row behind `previous` stored as `stored` with hash `told`, one flipped bit of either put right; else None."""
    right = link(previous, unpack(stored))
    if right == told:
        return Fitting(stored, told, False)
    if len(told) != 32:
        return None
    if (int.from_bytes(right, "big") ^ int.from_bytes(told, "big")).bit_count() == 1:
        return Fitting(stored, right, True)
    flipped = bytearray(stored)
    for index in range(len(flipped)):
        for bit in range(8):
            flipped[index] ^= 1 << bit
            if follows(previous, bytes(flipped), told):
                return Fitting(bytes(flipped), told, True)
            flipped[index] ^= 1 << bit
    return None


class Survivors:
    """Reads the ledger at `path`, which nobody may be writing to, into tables of `scratch`: `ledger` for the rows that
    chain from the first one, `tail` for the readable ones behind. Changes nothing at `path`.
    """

    def __init__(self, path: Path, scratch: sqlite3.Connection) -> None:
        self._path = path
        self._scratch = scratch
        self.branches: list[Branch] = []
        #: named rows of the table `position`
        self.positions: dict[str, tuple[int, bytes | None]] = {}
        #: the last row that chains, and its hash
        self.last, self.hash = 0, b""
        self.mended = 0
        #: rows of the table `retention`
        self.retention: list[tuple[int, int]] = []
        self._loose: list[bytes] = []
        #: readable rows behind the last one that chains
        self.tail = 0
        #: the last row that is proven to have existed
        self.proven_last = 0

    def gather(self) -> None:
        """Read everything. Raises LedgerDamagedError when there is nothing of a ledger, OSError, sqlite3.Error of `scratch`."""
        for statement in TABLES.split(";"):
            self._scratch.execute(statement)
        raw = RawFile(self._path)
        try:
            self._read_names(raw)
            whole = self._read_rows()
            self._add_found(raw.rows(log_only=whole))
            self._loose = list(dict.fromkeys(raw.loose))
        finally:
            raw.close()
        self._extend()
        self._read_tail()
        if not (self.last or self.tail or self.branches):
            raise LedgerDamagedError(
                f"{self._path} holds no row of a ledger that can be read: restore a copy, or move it away"
            )

    # ---------------------------------------------------------------- what the file says of itself

    def read_names(self) -> list[Branch]:
        """The branches and named rows alone. Raises OSError."""
        with closing(RawFile(self._path)) as raw:
            self._read_names(raw)
        return self.branches

    def _read_names(self, raw: RawFile) -> None:
        try:
            with closing(_open(self._path)) as connection:
                self.branches = [Branch(*row) for row in connection.execute(_SQL_BRANCHES)]
                self.positions = {
                    name: (seq, value)
                    for name, seq, value in connection.execute("SELECT name, seq, hash FROM position")
                }
                self.retention = connection.execute("SELECT head, base FROM retention ORDER BY head").fetchall()
        except (sqlite3.Error, TypeError, ValueError):
            pass
        if not _sound(self.branches):
            self.branches = []
        for name in ("acknowledged", "base", "reconcile"):
            if name not in self.positions and (told := raw.positions(name)):
                seq, value = max(told)
                self.positions[name] = (seq, value or None)
        if not self.branches:
            self.branches = _branches_of(raw, cut="base" in self.positions)
        base = self.positions.get("base")
        if base is not None and base[1]:
            self.last, self.hash = base[0], base[1]
        elif self.branches:
            self.last, self.hash = 0, self.branches[0].parent_hash

    # ---------------------------------------------------------------- the rows that chain

    def _read_rows(self) -> bool:
        """Follow the chain as far as SQLite leads; what does not fit is put aside. True when SQLite read all there is."""
        good: list[tuple[int, int, bytes, bytes]] = []
        astray: list[FoundRow] = []
        straight = True
        try:
            with closing(_open(self._path)) as connection:
                for row in connection.execute(_SQL_ROWS, (self.last,)):
                    found = FoundRow(*row)
                    fitting = self._fit(found) if straight else None
                    if fitting is None:
                        straight = False
                        astray.append(found)
                    else:
                        good.append((found.seq, found.epoch, fitting.body, fitting.hash))
                        self._stand(found.seq, fitting)
                    if len(good) + len(astray) >= BATCH:
                        self._write(good, astray)
        except (sqlite3.Error, TypeError):
            straight = False
        self._write(good, astray)
        return straight

    def _fit(self, row: FoundRow) -> Fitting | None:
        return fit(self.hash, row.body, row.hash) if row.seq == self.last + 1 else None

    def _stand(self, seq: int, fitting: Fitting) -> None:
        self.last, self.hash = seq, fitting.hash
        self.mended += fitting.mended

    def _write(self, good: list[tuple[int, int, bytes, bytes]], astray: list[FoundRow]) -> None:
        self._scratch.executemany("INSERT INTO ledger VALUES (?, ?, ?, ?)", good)
        self._add_found(astray)
        good.clear()
        astray.clear()

    def _add_found(self, rows: Iterable[FoundRow]) -> None:
        self._scratch.executemany("INSERT INTO found VALUES (?, ?, ?, ?)", (row for row in rows if row.seq > self.last))

    def _extend(self) -> None:
        """Go on with what was put aside, wherever it stood, for as long as something chains."""
        while True:
            seq = self.last + 1
            candidates = self._candidates(seq)
            fitting = self._best(candidates, seq)
            if fitting is None:
                fitting = self._misplaced()
            if fitting is None:
                return
            epoch = next((epoch for body, _, epoch in candidates if body == fitting.body), 0)
            self._scratch.execute("INSERT INTO ledger VALUES (?, ?, ?, ?)", (seq, epoch, fitting.body, fitting.hash))
            self._stand(seq, fitting)

    def _candidates(self, seq: int) -> list[tuple[bytes, bytes, int]]:
        return list(dict.fromkeys(self._scratch.execute(_IN_FOUND, (seq,))))

    def _best(self, candidates: Sequence[tuple[bytes, bytes, int]], seq: int) -> Fitting | None:
        for body, stored, _ in candidates:
            if follows(self.hash, body, stored):
                return Fitting(body, stored, False)
        following = self._candidates(seq + 1) if candidates else []
        for body, _, _ in candidates:  # the stored hash may be gone where the next row vouches for it
            right = link(self.hash, unpack(body))
            if any(follows(right, later, stored) for later, stored, _ in following):
                return Fitting(body, right, True)
        return next((one for body, stored, _ in candidates if (one := fit(self.hash, body, stored))), None)

    def _misplaced(self) -> Fitting | None:
        """The row that follows, under a wrong number or in a cell that cannot be parsed any more."""
        for body, stored in self._scratch.execute("SELECT body, hash FROM found WHERE seq > ?", (self.last,)):
            if follows(self.hash, body, stored):
                return Fitting(body, stored, True)
        for rest in self._loose:
            for end in _ends(rest):
                if follows(self.hash, rest[:end], rest[end : end + 32]):
                    return Fitting(rest[:end], rest[end : end + 32], True)
        return None

    # ---------------------------------------------------------------- the rows behind the damage

    def _read_tail(self) -> None:
        """Choose among what was found behind the prefix: one row for each seq, proven by the row before it or readable."""
        self._scratch.execute("DELETE FROM found WHERE seq <= ?", (self.last,))
        self.proven_last = self.last
        before: tuple[int, list[bytes], bool] = (self.last, [self.hash], True)
        rows = self._scratch.execute("SELECT seq, epoch, body, hash FROM found ORDER BY seq")
        kept: list[tuple[int, int, bytes, bytes]] = []
        unproven: list[tuple[int, int, bytes, bytes]] = []
        for seq, group in groupby((FoundRow(*row) for row in rows), key=lambda row: row.seq):
            candidates = list(dict.fromkeys(group))
            hashes = before[1] if before[0] == seq - 1 else []
            row, proven = _chosen(candidates, hashes)
            if row is not None and (proven or not (hashes and before[2])):  # a proven row before it speaks against it
                (kept if proven else unproven).append(row)
            if proven:
                self.proven_last = seq
            before = (seq, [row[3]] if row and proven else [row.hash for row in candidates], proven)
        limit = max(self.proven_last, self.last, self.positions.get("acknowledged", (0, None))[0]) + BEYOND
        self._scratch.executemany("INSERT INTO tail VALUES (?, ?, ?, ?)", kept)
        self._scratch.executemany("INSERT INTO tail VALUES (?, ?, ?, ?)", (row for row in unproven if row[0] <= limit))
        self._scratch.execute("DROP TABLE found")
        (self.tail,) = self._scratch.execute("SELECT count(*) FROM tail").fetchone()


def _chosen(
    candidates: Sequence[FoundRow], hashes: Sequence[bytes]
) -> tuple[tuple[int, int, bytes, bytes] | None, bool]:
    """The row among `candidates` for one seq, and whether it is proven by the hash of the row before it."""
    for row in candidates:
        for previous in hashes:
            fitting = fit(previous, row.body, row.hash) if len(candidates) * len(hashes) <= 4 else None
            if fitting is None and follows(previous, row.body, row.hash):
                fitting = Fitting(row.body, row.hash, False)
            if fitting is not None:
                return (row.seq, row.epoch, fitting.body, fitting.hash), True
    for row in candidates:
        if _canonical(row.body):
            return row, False
    return None, False


def _ends(rest: bytes) -> Iterator[int]:
    """Where the body at the beginning of `rest` may end, 32 bytes before the end at most."""
    if rest.startswith(PACKED):
        inflate = zlib.decompressobj(RAW, zdict=WORDS_1)
        with suppress(zlib.error):
            inflate.decompress(rest[len(PACKED) :])
            yield len(rest) - len(inflate.unused_data)
        return
    end = rest.find(b"}") + 1
    while 0 < end <= len(rest) - 32:
        yield end
        end = rest.find(b"}", end) + 1


def _canonical(stored: bytes) -> bool:
    body = unpack(stored)
    try:
        return encode(decode(body)) == body
    except (msgspec.DecodeError, UnicodeDecodeError, UnicodeEncodeError):
        return False


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)


def _sound(branches: Sequence[Branch]) -> bool:
    """Whether these are branches as they were written, as far as they show it themselves."""
    return bool(branches) and branches[0].parent_hash == genesis(branches[0].epoch & EPOCH_MASK)


def _branches_of(raw: RawFile, cut: bool) -> list[Branch]:
    """The branches that the rows' labels tell of. The first begins with the genesis hash of its label, which its first row
    proves where retention has not `cut` it."""
    first: dict[int, FoundRow] = {}
    for row in raw.rows():
        if 0 < row.epoch < 1 << EPOCH_BITS and (row.epoch not in first or row.seq < first[row.epoch].seq):
            first[row.epoch] = row
    wanted = {row.seq - 1 for row in first.values()}
    before: dict[int, list[bytes]] = {}
    for row in raw.rows():
        if row.seq in wanted:
            before.setdefault(row.seq, []).append(row.hash)
    branches: list[Branch] = []
    for row in sorted(first.values()):
        start = genesis(row.epoch)
        if not branches and (cut or (row.seq == 1 and link(start, row.body) == row.hash)):
            branches.append(Branch(row.epoch, None, 0, start))
        elif branches:
            left = next((one for one in before.get(row.seq - 1, []) if link(one, row.body) == row.hash), None)
            if left is not None:
                branches.append(Branch(row.epoch, branches[-1].epoch, row.seq - 1, left))
    return branches
