"""An observer of a whole system: reads the files that gateway and headquarters left, and trusts neither's own code for sums."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from gateway.ledger.check import verify_ledger
from gateway.ledger.packing import unpack
from vocabulary import records
from vocabulary.movement import Movement, accounts
from vocabulary.place import is_virtual

#: Microseconds by which a passage's reads may begin before, or end after, the moment the load's middle is in the door.
REACH_US = 12_000_000

#: Place, status, item, lot.
Account = tuple[str, str, str, str]


class Row(NamedTuple):
    """A row of a ledger, at the gateway or at headquarters."""

    epoch: int
    seq: int
    body: bytes
    hash: bytes


class Passage(NamedTuple):
    """A unit that a rule saw pass at a read point, reader times in microseconds UTC; where it is then; `seq` of its row."""

    unit: str
    read_point: str
    first: int
    last: int
    to: str
    seq: int


def query(path: Path, sql: str, *values: str) -> list[tuple[Any, ...]]:
    """What `sql` finds in the SQLite file at `path`, which is not written to."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)) as connection:
        return connection.execute(sql, values).fetchall()


def gateway_rows(ledger: Path) -> list[Row]:
    """A gateway's ledger in its order, the bodies as they were hashed."""
    rows = query(ledger, "SELECT epoch, seq, body, hash FROM ledger ORDER BY seq")
    return [Row(epoch, seq, unpack(body), row_hash) for epoch, seq, body, row_hash in rows]


def cloud_rows(database: Path, site: str) -> list[Row]:
    """Headquarters' copy of a site's ledger, in order of arrival, without the rows of dead cards that have no effect."""
    sql = "SELECT epoch, seq, body, hash FROM ledger WHERE site_id = ? AND kind <> 'salvaged' ORDER BY position"
    return [Row(*row) for row in query(database, sql, site)]


def cloud_balances(database: Path, site: str) -> dict[Account, int]:
    """Headquarters' balances of a site; zeros left out."""
    sql = "SELECT place, status, item, lot, sum(quantity) FROM balance WHERE site_id = ? GROUP BY 1, 2, 3, 4"
    return {row[:4]: row[4] for row in query(database, sql, site) if row[4]}  # type: ignore[misc]


def movements(rows: Iterable[Row]) -> dict[int, Movement]:
    """The movements among `rows` by seq."""
    found = ((row.seq, records.decode(row.body)) for row in rows)
    return {seq: record for seq, record in found if isinstance(record, Movement)}


def sums(moved: Iterable[Movement]) -> dict[Account, int]:
    """What all lines add up to per account, item and lot; zeros left out."""
    totals: Counter[Account] = Counter()
    for movement in moved:
        for line in movement.lines:
            source, target = accounts(movement, line)
            lot = line.lot or ""
            totals[source.place, source.status, line.item, lot] -= line.quantity
            totals[target.place, target.status, line.item, lot] += line.quantity
    return {key: total for key, total in totals.items() if total}


def passages(moved: dict[int, Movement]) -> Iterator[Passage]:
    """Every passage that was sensed and stands: neither implied nor taken back."""
    taken_back = {movement.reverses for movement in moved.values() if movement.reverses}
    for seq, movement in moved.items():
        standing = not movement.implied and not movement.reverses and seq not in taken_back
        if standing and isinstance(movement.interval, int):
            last = movement.occurred_at
            for entry in movement.units:
                to = accounts(movement, entry)[1].place
                yield Passage(entry.unit, movement.read_point or "", last - movement.interval, last, to, seq)


def doubled(moved: dict[int, Movement]) -> list[str]:
    """Units whose one passage stands twice: the same read point and overlapping reader times (ledger rule 7)."""
    faults: list[str] = []
    before: dict[tuple[str, str], Passage] = {}
    for passage in sorted(passages(moved), key=lambda passage: (passage.first, passage.seq)):
        key = passage.unit, passage.read_point
        if key in before and passage.first <= before[key].last:
            faults.append(f"{passage.unit} passed {passage.read_point} once; rows {before[key].seq} and {passage.seq}")
        before[key] = passage
    return faults


class TrueCrossing(NamedTuple):
    """A unit's middle was in a door at a time (microseconds UTC), on its way out or in."""

    unit: str
    door: str
    out: bool
    at: int


class Recall(NamedTuple):
    """Of `crossed` unit crossings `recorded` stand in the ledger, `wrong_way` of them with the wrong direction; `stray`
    passages stand for no crossing; `twice` says which crossings stand more than once."""

    crossed: int
    recorded: int
    wrong_way: int
    stray: int
    twice: list[str]


def recall(truth: list[TrueCrossing], moved: dict[int, Movement]) -> Recall:
    """Compare what passed with what was recorded.

    A passage belongs to the crossing of its unit at its door that is nearest in time, one of its own direction first.
    """
    recorded: dict[int, list[int]] = {}
    stray = wrong_way = 0
    for passage in passages(moved):
        middle, out = (passage.first + passage.last) // 2, is_virtual(passage.to)
        near = [
            (out != crossing.out, abs(crossing.at - middle), number)
            for number, crossing in enumerate(truth)
            if (crossing.unit, crossing.door) == (passage.unit, passage.read_point)
            and passage.first - REACH_US < crossing.at < passage.last + REACH_US
        ]
        if near:
            wrong, _, number = min(near)
            recorded.setdefault(number, []).append(passage.seq)
            wrong_way += wrong
        else:
            stray += 1
    twice = [
        f"{truth[number].unit} crossed {truth[number].door} once; it stands in rows {rows}"
        for number, rows in sorted(recorded.items())
        if len(rows) > 1
    ]
    return Recall(len(truth), len(recorded), wrong_way, stray, twice)


def compare(site: str, ledger: Path, database: Path) -> list[str]:
    """All that is wrong between a site's ledger, headquarters' copy of it and what is derived from them."""
    own, told = gateway_rows(ledger), cloud_rows(database, site)
    moved = movements(own)
    faults = list(verify_ledger(ledger).faults)
    if [row.seq for row in own] != list(range(1, len(own) + 1)):
        faults.append("the gateway's rows are not numbered 1, 2, 3, ...")
    if told != own:
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(own, told, strict=False)))
        faults.append(f"headquarters holds {len(told)} rows, the gateway {len(own)}; the first {same} are the same")
    if cloud_balances(database, site) != sums(moved.values()):
        faults.append("headquarters' balances are not the sum of the movements")
    items: Counter[str] = Counter()
    for (_, _, item, _), quantity in sums(moved.values()).items():
        items[item] += quantity
    faults += [f"{item}: all accounts together hold {total}, not 0" for item, total in sorted(items.items()) if total]
    return [f"{site}: {fault}" for fault in faults + doubled(moved)]
