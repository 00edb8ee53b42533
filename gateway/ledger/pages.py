"""The rows of a ledger's file that SQLite can no longer reach, read from the bytes of its pages.

A row's body, packed or not, begins with the same bytes always, so rows are found by them, whatever has become of the page
around them, of the tree above it or of the file's header. Pages of the write-ahead log are looked at too. What is found
may be old or half overwritten: the hash chain tells (`survivors`). Format: https://www.sqlite.org/fileformat.html
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.ledger.packing import MARK as PACKED

#: How every body begins: canonical JSON, whose tag comes first, or packed.
MARK = re.compile(re.escape(b'{"record":"') + b"|" + re.escape(PACKED))
#: Bytes of a cell before its body at most: payload size 3, row id 9, header size 1, serial types 1 + 1 + 3 + 1, epoch 8.
CELL_HEAD = 28
#: Bytes of a page where the header does not say it any more: what `migrate` makes.
PAGE_BYTES = 1_024
WAL_HEADER, FRAME_HEADER = 32, 24
#: Pages of one overflow chain at most: a record is far smaller, a damaged chain may be a ring.
LONGEST_CHAIN = 4_096
#: Rests of pages kept at most: damage makes a few.
LOOSE = 10_000
#: Serial types of a hash (a blob of 32 bytes) and of SQLite's integers, with their bytes.
HASH_TYPE = 76
INTEGER_BYTES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}


class FoundRow(NamedTuple):
    """What looks like a row of the ledger; the body as it is stored, packed or not."""

    seq: int
    epoch: int
    body: bytes
    hash: bytes


class RawFile:
    """The bytes of a ledger's file and of the log beside it. Raises OSError when they cannot be read."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        wal = path.with_name(path.name + "-wal")
        self._wal = wal.open("rb") if wal.is_file() else None
        self.page_bytes = _page_bytes(self._file.read(20))
        #: what every frame since the log was begun anew carries
        self._salts = self._wal.read(WAL_HEADER)[16:24] if self._wal is not None else b""
        #: rests of pages that begin with a body whose cell cannot be parsed, as `rows` met them
        self.loose: list[bytes] = []
        #: where the newest version of a page stands in the log
        self._newest: dict[int, int] = {}
        for number, offset in self._frames():
            self._newest[number] = offset

    def close(self) -> None:
        """Close both files."""
        self._file.close()
        if self._wal is not None:
            self._wal.close()

    def rows(self, *, log_only: bool = False) -> Iterator[FoundRow]:
        """Every row that can be found, in no order, some more than once; those of the log alone if asked."""
        for page in self._pages(log_only):
            for mark in MARK.finditer(page):
                row = self._row(page, mark.start())
                if row is not None:
                    yield row
                elif len(self.loose) < LOOSE:
                    self.loose.append(page[mark.start() :])

    def positions(self, name: str) -> list[tuple[int, bytes]]:
        """(seq, hash) of what looks like the row `name` of the table `position`; the hash is empty where it has none."""
        text = name.encode()
        found: list[tuple[int, bytes]] = []
        for page in self._pages(log_only=False):
            at = page.find(text)
            while at >= 4:
                size, kind, number, blob = page[at - 4 : at]
                if size == 4 and kind == 13 + 2 * len(text) and number in INTEGER_BYTES and blob in (0, HASH_TYPE):
                    value, end = _integer(page, at + len(text), number)
                    found.append((value, page[end : end + 32] if blob else b""))
                at = page.find(text, at + 1)
        return found

    def _frames(self) -> Iterator[tuple[int, int]]:
        """(page number, offset of the page) of each frame of the log, whether or not its checksum holds.

        Left out are those behind the last commit: a commit that never was, perhaps with the half of an event.
        """
        heads = list(self._heads())
        end = last = max((place for place, head in enumerate(heads) if head[8:] == self._salts), default=-1)
        while end >= 0 and heads[end][4:8] == bytes(4) and heads[end][8:] == self._salts:
            end -= 1
        step = FRAME_HEADER + self.page_bytes
        for place, head in enumerate(heads):
            if not end < place <= last:
                yield int.from_bytes(head[:4], "big"), WAL_HEADER + place * step + FRAME_HEADER

    def _heads(self) -> Iterator[bytes]:
        """Page number, mark of a commit (0: none) and salts of each frame: 4 + 4 + 8 bytes."""
        if self._wal is None:
            return
        length = self._wal.seek(0, 2)
        step = FRAME_HEADER + self.page_bytes
        for at in range(WAL_HEADER, length - FRAME_HEADER, step):
            self._wal.seek(at)
            head = self._wal.read(16)
            yield head if at + step <= length else head[:4] + bytes(4) + head[8:]  # cut: no commit

    def _pages(self, log_only: bool) -> Iterator[bytes]:
        if not log_only:
            self._file.seek(0)
            while page := self._file.read(self.page_bytes):
                at = self._file.tell()
                yield page
                self._file.seek(at)
        for _, offset in self._frames():
            yield self._read_log(offset)

    def _read_log(self, offset: int) -> bytes:
        assert self._wal is not None
        self._wal.seek(offset)
        return self._wal.read(self.page_bytes)

    def _page(self, number: int) -> bytes:
        if number in self._newest:
            return self._read_log(self._newest[number])
        self._file.seek((number - 1) * self.page_bytes)
        return self._file.read(self.page_bytes)

    def _row(self, page: bytes, body_at: int) -> FoundRow | None:
        """The row whose body begins at `body_at`: its cell begins a few bytes before, and says so itself."""
        for start in range(body_at - 6, max(0, body_at - CELL_HEAD) - 1, -1):
            size, at = _varint(page, start)
            seq, head_at = _varint(page, at)
            head_size, at = _varint(page, head_at)
            types: list[int] = []
            while at < head_at + head_size <= body_at and len(types) < 5:
                kind, at = _varint(page, at)
                types.append(kind)
            if len(types) != 4 or at != head_at + head_size or types[0] != 0 or types[3] != HASH_TYPE:
                continue
            if types[1] not in INTEGER_BYTES or types[2] < 12 or seq < 1:
                continue
            epoch, at = _integer(page, at, types[1])
            length = (types[2] - 12) // 2
            if at != body_at or size != at - head_at + length + 32:
                continue
            payload = self._payload(page, head_at, size)
            cut = at - head_at
            if len(payload) == size:
                return FoundRow(seq, epoch, payload[cut : cut + length], payload[cut + length :])
        return None

    def _payload(self, page: bytes, at: int, size: int) -> bytes:
        """The payload of a cell, with what overflows the page. Shorter than `size` when pages are missing."""
        usable = self.page_bytes
        if size <= usable - 35:
            return page[at : at + size]
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        if local > usable - 35:
            local = least
        payload = page[at : at + local]
        following = int.from_bytes(page[at + local : at + local + 4], "big")
        for _ in range(LONGEST_CHAIN):
            if not following or len(payload) >= size:
                break
            more = self._page(following)
            following = int.from_bytes(more[:4], "big")
            payload += more[4 : 4 + size - len(payload)]
        return payload


def _page_bytes(header: bytes) -> int:
    told = int.from_bytes(header[16:18], "big")
    told = 65_536 if told == 1 else told
    whole = header[:16] == b"SQLite format 3\x00" and told >= 512 and told & (told - 1) == 0
    return told if whole else PAGE_BYTES


def _varint(page: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(page[at : at + 9]):
        if index == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return -1, at + 9


def _integer(page: bytes, at: int, kind: int) -> tuple[int, int]:
    length = INTEGER_BYTES[kind]
    if kind in (8, 9):
        return kind - 8, at
    return int.from_bytes(page[at : at + length], "big", signed=True), at + length


def log_is_torn_inside(path: Path) -> bool:
    """Whether the write-ahead log beside `path` was damaged before its last commit: SQLite silently leaves out what follows.

    A damaged last commit is nothing special: a power cut leaves one, and nobody was told of it.
    """
    wal = path.with_name(path.name + "-wal")
    if not wal.is_file():
        return False
    log = wal.read_bytes()
    size, step = int.from_bytes(log[8:12], "big"), 0
    if len(log) < WAL_HEADER or size < 512:
        return len(log) >= WAL_HEADER
    step = FRAME_HEADER + size
    order = ">" if log[3:4] == b"\x83" else "<"
    sums = _checksum(log[:24], order, (0, 0))
    if sums != _numbers(log[24:32]):
        return len(log) >= WAL_HEADER + step and MARK.search(log) is not None
    at = WAL_HEADER
    while at + step <= len(log) and log[at + 8 : at + 16] == log[16:24]:
        sums = _checksum(log[at : at + 8], order, sums)
        sums = _checksum(log[at + FRAME_HEADER : at + step], order, sums)
        if sums != _numbers(log[at + 16 : at + 24]):
            break
        at += step
    salts = log[16:24]
    commits = [
        place
        for place in range(at, len(log) - step + 1, step)
        if log[place + 8 : place + 16] == salts and log[place + 4 : place + 8] != bytes(4)
    ]
    return len(commits) > 1


def log_goes_on(path: Path) -> bool:
    """Whether the log beside `path` holds a whole transaction behind the end that SQLite knows: one whose commit failed, and
    which would come to life when the log is read anew. True where nobody can tell.
    """
    wal, index = path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")
    try:
        log = wal.open("rb")
    except FileNotFoundError:
        return False
    with log:
        try:
            with index.open("rb") as file:
                head = file.read(48)
        except OSError:
            return True
        if len(head) < 48 or not head[12]:
            return True
        size, last, first, second = struct.unpack("=14x HI4x 2I", head[:32])
        size = 65_536 if size == 1 else size
        order, sums = (">" if head[13] else "<"), (first, second)
        log.seek(WAL_HEADER + last * (FRAME_HEADER + size))
        while len(frame := log.read(FRAME_HEADER + size)) == FRAME_HEADER + size and frame[8:16] == head[32:40]:
            sums = _checksum(frame[:8], order, sums)
            sums = _checksum(frame[FRAME_HEADER:], order, sums)
            if sums != _numbers(frame[16:24]):
                break
            if frame[4:8] != bytes(4):
                return True
    return False


def _numbers(pair: bytes) -> tuple[int, int]:
    return int.from_bytes(pair[:4], "big"), int.from_bytes(pair[4:8], "big")


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    """SQLite's checksum of the write-ahead log, going on from `sums`."""
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for index in range(0, len(words), 2):
        first = (first + words[index] + second) & 0xFFFFFFFF
        second = (second + words[index + 1] + first) & 0xFFFFFFFF
    return first, second
