"""The observer of a simulated day: what was told, what is in the files of the gateways and of headquarters, what truly passed.

Branches, dead gateways and rows that retention cut are understood; otherwise it trusts no sum but its own.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import observer
from day_headquarters import Headquarters
from day_site import DaySite
from observer import Account, Row

from cloud.projections.rebuild import verify_site
from cloud.store.database import reading
from gateway.ledger.balances import load
from gateway.ledger.check import verify_ledger
from vocabulary import records
from vocabulary.movement import Movement, accounts
from vocabulary.wire import OPENING_SNAPSHOT, in_snapshot

#: A row along the branches of a site: epoch, seq.
Key = tuple[int, int]
_EPOCHS = "SELECT epoch, parent_epoch, parent_seq FROM epoch WHERE site_id = ?"
_POSITIONS = (
    "SELECT epoch, seq, position, occurred_at, received_at, hash FROM ledger WHERE site_id = ? ORDER BY position"
)


class History(NamedTuple):
    """A site's movements at headquarters by branch and seq, as corrected in time, and those that were taken back."""

    moved: dict[Key, Movement]
    taken_back: Counter[Key]

    @property
    def standing(self) -> dict[int, Movement]:
        """What was sensed and stands, numbered along all branches; nothing in it takes anything back.

        A unit that its container takes along, and that stood there already, did not pass again.
        """
        kept = (
            moving_units(movement)
            for key, movement in self.moved.items()
            if not movement.reverses and key not in self.taken_back and movement.rule != OPENING_SNAPSHOT
        )
        return dict(enumerate(kept, 1))


def moving_units(movement: Movement) -> Movement:
    """`movement` without the units that a container which moves takes along, and that stood there already.

    Where nothing moved at all every unit stays: so looks a passage that was recorded twice.
    """
    moved = tuple(entry for entry in movement.units if len(set(accounts(movement, entry))) == 2)
    carried = any(entry.unit.startswith("00/") for entry in moved)
    return msgspec.structs.replace(movement, units=moved) if carried else movement


def history(database: Path, site: str) -> History:
    """What headquarters holds of a site."""
    parents = {row[0]: (int(row[1] or 0), row[2]) for row in observer.query(database, _EPOCHS, site)}
    times = {row[:2]: row[3] for row in observer.query(database, _POSITIONS, site)}
    moved: dict[Key, Movement] = {}
    for row in observer.cloud_rows(database, site):
        record = records.decode(row.body)
        if isinstance(record, Movement):
            at = times[row.epoch, row.seq]
            moved[row.epoch, row.seq] = msgspec.structs.replace(record, occurred_at=at)
    back: Counter[Key] = Counter()
    for (epoch, _), movement in moved.items():
        if movement.reverses and movement.rule != OPENING_SNAPSHOT:  # told again, and no movement for headquarters
            branch = epoch
            while movement.reverses <= parents[branch][1] and parents[branch][0]:
                branch = parents[branch][0]
            back[branch, movement.reverses] += 1
    return History(moved, back)


def gateway_balances(ledger: Path) -> dict[Account, int]:
    """What the gateway itself would say of its places."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, isolation_level=None)) as connection:
        stock = load(connection).stock
        found: Counter[Account] = Counter()
        for key, amount in stock.balances.items():
            found[key.place, key.status, key.item, key.lot] += amount.quantity
    return {key: quantity for key, quantity in found.items() if quantity}


def told_places(balances: Mapping[Account, int]) -> dict[Account, int]:
    """The balances of the places that a snapshot tells."""
    return {key: quantity for key, quantity in balances.items() if in_snapshot(key[0])}


def compare_rows(site: DaySite, own: list[Row], base: int, told: list[Row]) -> list[str]:
    """Headquarters holds exactly what the gateway holds; besides, only rows of branches that ended and rows that were cut."""
    faults: list[str] = []
    if [row.seq for row in own] != list(range(base + 1, base + 1 + len(own))):
        faults.append(f"the gateway's rows are not numbered {base + 1}, {base + 2}, ...")
    there = {(row.epoch, row.seq): row for row in told}
    if len(there) != len(told):
        faults.append(f"headquarters holds {len(told) - len(there)} rows twice")
    missing = [row for row in own if there.get((row.epoch, row.seq)) != row]
    if missing:
        faults.append(f"headquarters lacks or changed {len(missing)} rows, the first is {missing[0].seq}")
    epoch, last = (own[-1].epoch, own[-1].seq) if own else (0, 0)
    beyond = [row for row in told if row.epoch == epoch and row.seq > last]
    if beyond:
        faults.append(f"headquarters holds {len(beyond)} rows of the present branch that the gateway lacks")
    present = {(row.seq, row.body) for row in (*own, *told)}
    on_cards = {(row.seq, row.body) for card in site.cards for row in observer.gateway_rows(card / "ledger.db")}
    lost = site.told - present - on_cards
    if lost:
        seq, body = min(lost)
        faults.append(f"{len(lost)} rows that were told are nowhere, the first is {seq}: {body[:120]!r}")
    return faults


def lost_on_cards(site: DaySite, told: list[Row], known: History) -> list[str]:
    """Passages that only a dead gateway's card held, and that the survivor did not take over."""
    bodies = {(row.seq, row.body) for row in told}
    # those that people took back afterwards are there as well
    recorded = {number: movement for number, movement in enumerate(known.moved.values()) if not movement.reverses}
    there = {(passage.unit, passage.read_point) for passage in observer.passages(recorded)}
    faults: list[str] = []
    for card in site.cards:
        rows = observer.gateway_rows(card / "ledger.db")
        behind = {row.seq for row in rows if (row.seq, row.body) not in bodies}
        for passage in observer.passages(observer.movements(rows)):
            if passage.seq in behind and (passage.unit, passage.read_point) not in there:
                faults.append(f"{passage.unit} passed {passage.read_point} in row {passage.seq} of a dead card only")
    return faults


def zero_sums(balances: Mapping[Account, int], where: str) -> list[str]:
    """Nothing is made from nothing."""
    items: Counter[str] = Counter()
    for (_, _, item, _), quantity in balances.items():
        items[item] += quantity
    return [f"{where}: all accounts of {item} hold {total}, not 0" for item, total in sorted(items.items()) if total]


def differences(one: Mapping[Account, int], other: Mapping[Account, int]) -> str:
    """Some accounts in which two balances differ."""
    keys = sorted(key for key in {**one, **other} if one.get(key, 0) != other.get(key, 0))
    return "; ".join(f"{'/'.join(key)}: {one.get(key, 0)} and {other.get(key, 0)}" for key in keys[:4])


async def judge(site: DaySite, headquarters: Headquarters) -> tuple[list[str], dict[str, Any]]:
    """All that is wrong with a site, and its figures.

    Times are not judged where rows were cut: a clock that lied for minutes is found out in ten, and rows that shortened
    retention has cut by then stay as they were.
    """
    database = headquarters.database
    report = verify_ledger(site.ledger)
    faults = list(report.faults)
    own, told = observer.gateway_rows(site.ledger), observer.cloud_rows(database, site.name)
    own = [row for row in own if row.seq > report.base_seq]
    faults += compare_rows(site, own, report.base_seq, told)
    known = history(database, site.name)
    at_headquarters = observer.cloud_balances(database, site.name)
    summed = observer.sums(m for m in known.moved.values() if m.rule != OPENING_SNAPSHOT)
    if at_headquarters != summed:
        faults.append(
            f"headquarters' balances are not the sum of the movements: {differences(at_headquarters, summed)}"
        )
    at_gateway = gateway_balances(site.ledger)
    if told_places(at_gateway) != told_places(at_headquarters):
        both = differences(told_places(at_gateway), told_places(at_headquarters))
        faults.append(f"gateway and headquarters hold different stock: {both}")
    faults += zero_sums(at_gateway, "gateway") + zero_sums(at_headquarters, "headquarters")
    faults += [f"row {key} was taken back {count} times" for key, count in known.taken_back.items() if count > 1]
    standing = known.standing
    faults += observer.doubled(standing)
    if not report.base_seq:
        faults += wrong_times(site.crossings(), standing)
    recall = observer.recall(site.crossings(), standing)
    faults += recall.twice
    faults += lost_on_cards(site, told, known)
    if site.refused:
        faults.append(f"posting refused {site.refused} movements")
    faults += parked(database, site.name)
    async with reading(headquarters.engine) as conn:
        faults += (await verify_site(conn, site.name)).differences
        await conn.rollback()
    kinds = Counter(records.kind_of(row.body) for row in told)
    figures = {
        "rows": len(told),
        "at gateway": len(own),
        "cut": report.base_seq,
        "branches": len(observer.query(database, _EPOCHS, site.name)),
        "told": len(site.told),
        "kinds": dict(sorted(kinds.items())),
        "crossed": recall.crossed,
        "recorded": recall.recorded,
        "wrong way": recall.wrong_way,
        "stray": recall.stray,
    }
    return [f"{site.name}: {fault}" for fault in faults], figures


def wrong_times(truth: list[observer.TrueCrossing], standing: dict[int, Movement]) -> list[str]:
    """Passages of units that did cross that door, at no time near the recorded one, corrections of clocks included."""
    crossed: dict[tuple[str, str], list[int]] = {}
    for crossing in truth:
        crossed.setdefault((crossing.unit, crossing.door), []).append(crossing.at)
    faults: list[str] = []
    for passage in observer.passages(standing):
        times = crossed.get((passage.unit, passage.read_point))
        if times and not any(passage.first - observer.REACH_US < at < passage.last + observer.REACH_US for at in times):
            off = min((passage.last - at for at in times), key=abs) / 1_000_000
            faults.append(f"{passage.unit} at {passage.read_point} is dated wrongly by {off:+.0f} s")
    return faults


def parked(database: Path, site: str) -> list[str]:
    """What headquarters could not digest."""
    sql = "SELECT subject, text FROM exception WHERE site_id = ? AND kind = 'parked-record'"
    return [f"parked: {subject}: {text}" for subject, text in observer.query(database, sql, site)]


def lines(site: DaySite, headquarters: Headquarters) -> Iterable[str]:
    """What the day left behind, line by line, to compare with another run of the seed."""
    for row in observer.gateway_rows(site.ledger):
        yield f"ledger {site.name} {row.epoch} {row.seq} {row.hash.hex()} {row.body.decode()}"
    for *row, row_hash in observer.query(headquarters.database, _POSITIONS, site.name):
        yield f"cloud {site.name} {' '.join(map(str, row))} {row_hash.hex()}"
    yield from site.log
