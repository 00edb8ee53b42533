"""Two tails of one ledger, after a fork: both count; where both moved a unit, it is where the later time says, in any order."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from headquarters import BIN, CUSTOMER, DOCK, SUPPLIER, Gateway, Headquarters, open_headquarters
from virtual import VirtualRuntime, run

from cloud.projections.rebuild import verify_site
from cloud.store import schema
from cloud.store.database import reading
from vocabulary import chain
from vocabulary.movement import Content, Line, Movement, UnitEntry
from vocabulary.place import Account
from vocabulary.records import ClockRecord, Record

NOW = 1_767_600_000_000_000
MINUTE = 60_000_000
PLACES = (DOCK, BIN, Account("bin-2"), CUSTOMER)
UNITS = [f"00/10614141234567{number:04}" for number in range(4)]


def moved(unit: str, source: Account, target: Account, at: int, **more: Any) -> Movement:
    entry = UnitEntry(unit, container=more.pop("container", None), holds=more.pop("holds", ()))
    return Movement("moving", source, target, at, (Line("A", 12),), (entry,), **more)


def fork(seed: str, clocks: bool) -> tuple[list[Record], list[Record], list[Record], dict[str, Account]]:
    """Rows that both share, those of the trunk, those of the branch; and where each unit is by the true times."""
    draw = random.Random(seed)
    common: list[Record] = [
        moved(unit, SUPPLIER, DOCK, NOW + number * MINUTE, holds=(Content("A", 12),))
        for number, unit in enumerate(UNITS)
    ]
    where = dict.fromkeys(UNITS, (0, DOCK))
    tails: list[list[Record]] = []
    for tail in range(2):
        held = dict.fromkeys(UNITS, DOCK)
        rows: list[Record] = []
        shift = draw.choice((-25, 35)) * MINUTE if clocks and tail else 0
        for number in range(8):
            at = NOW + (100 + 10 * number + draw.randrange(4)) * MINUTE + tail
            unit, target = draw.choice(UNITS), draw.choice(PLACES)
            container = draw.choice((None, "00/1061414123456799"))
            rows.append(moved(unit, held[unit], target, at - shift, container=container))
            held[unit] = target
            if at > where[unit][0]:
                where[unit] = (at, target)
            if draw.random() < 0.2:  # taken back at once
                back = len(common) + len(rows)
                rows.append(moved(unit, target, DOCK, at - shift, reverses=back))
                held[unit] = DOCK
                where[unit] = (at, DOCK) if where[unit][0] == at else where[unit]
        if shift:
            rows.append(ClockRecord(NOW + 300 * MINUTE, len(common) + 1, len(common) + len(rows), shift))
        tails.append(rows)
    return common, *tails, {unit: place for unit, (_, place) in where.items()}


class Tail:
    """Pushes a tail in parts."""

    def __init__(self, gateway: Gateway, epoch: int, rows: list[Record], after: int) -> None:
        self.gateway, self.epoch, self.next = gateway, epoch, after + 1
        self.bodies = gateway.bodies[:after]
        gateway.bodies = list(self.bodies)
        gateway.record(*rows)
        self.bodies, gateway.bodies = gateway.bodies, self.bodies
        self.after = after

    async def push(self, count: int) -> None:
        last = min(len(self.bodies), self.next + count - 1)
        common = chain.head(chain.genesis(self.gateway.epoch), self.bodies[: self.after]).hex()
        kept, self.gateway.bodies = self.gateway.bodies, self.bodies
        parent = (str(self.gateway.epoch), self.after, common) if self.epoch != self.gateway.epoch else None
        answer = await self.gateway.push(self.next, last, epoch=str(self.epoch), parent=parent)
        assert answer.status_code == 200, answer.text
        self.gateway.bodies, self.next = kept, last + 1

    @property
    def left(self) -> int:
        return len(self.bodies) - self.next + 1


async def arrived(path: Path, common: list[Record], tails: list[list[Record]], order: random.Random | int) -> Any:
    """Units and balances after the tails came: one whole before the other, or in parts by turns."""
    async with open_headquarters(path, VirtualRuntime()) as hq:
        await hq.add_site()
        gateway = await hq.add_gateway()
        gateway.record(*common)
        await gateway.push()
        ways = [Tail(gateway, epoch, rows, len(common)) for epoch, rows in zip((4_711, 99), tails, strict=True)]
        while any(way.left for way in ways):
            if isinstance(order, int):
                one = next(way for way in (ways if order == 0 else ways[::-1]) if way.left)
                await one.push(100)
            else:
                await order.choice([way for way in ways if way.left]).push(order.randrange(1, 4))
        return await found(hq)


async def found(hq: Headquarters) -> Any:
    async with reading(hq.engine) as conn:
        assert (await verify_site(conn, "north")).differences == ()
        await conn.rollback()
    units = await hq.rows(schema.unit, "unit", "place", "status", "container", "holds", "at", "epoch")
    balances = await hq.rows(schema.balance, "place", "status", "item", "quantity", "held")
    return units, [row for row in balances if row[3] or row[4]]


async def recorded_again(path: Path) -> Any:
    """A gateway that lost rows and could not ask what had arrived records the later ones again, in an epoch of its own."""
    common, tail, _, _ = fork("again", False)
    later = moved(UNITS[0], DOCK, BIN, NOW + 400 * MINUTE)
    async with open_headquarters(path, VirtualRuntime()) as hq:
        await hq.add_site()
        gateway = await hq.add_gateway()
        gateway.record(*common, *tail)
        await gateway.push()
        before = await found(hq)
        again = Tail(gateway, 99, [*tail[2:], later], len(common))
        await again.push(3)
        await again.push(len(tail) - 5)
        assert await found(hq) == before
        await again.push(100)
        assert await found(hq) != before
        kinds = await hq.rows(schema.ledger, "epoch", "seq", "kind")
    return [kind for epoch, _, kind in sorted(kinds) if epoch == 99]


def test_what_is_recorded_again_counts_once(tmp_path: Path) -> None:
    kinds = run(lambda: recorded_again(tmp_path / "cloud.db"))
    assert kinds.count("movement") == 1
    assert kinds[-1] == "movement"


@pytest.mark.parametrize("seed", range(2))
def test_corrected_times_come_out_the_same_when_derived_anew(tmp_path: Path, seed: int) -> None:
    common, trunk, branch, _ = fork(f"tails {seed}", True)
    run(lambda: arrived(tmp_path / "cloud.db", common, [trunk, branch], random.Random(seed)))


@pytest.mark.parametrize("seed", range(6))
def test_places_follow_time_not_arrival(tmp_path: Path, seed: int) -> None:
    common, trunk, branch, where = fork(f"tails {seed}", False)
    tails = [trunk, branch]
    first = run(lambda: arrived(tmp_path / "0.db", common, tails, 0))
    assert run(lambda: arrived(tmp_path / "1.db", common, tails, 1)) == first
    assert run(lambda: arrived(tmp_path / "2.db", common, tails, random.Random(seed))) == first
    units, balances = first
    assert {row[0]: Account(row[1], row[2]) for row in units} == where
    assert sum(row[3] for row in balances) == 0
    assert sum(row[4] for row in balances) == 12 * len(UNITS)
