"""Whatever a ledger holds: what headquarters tells brings it there, makes nothing from nothing, and only once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import pytest
from msgspec import UNSET
from takeover_help import CATALOGUE, SECOND, case_id, crossing, moving, pallet_id, present, units, whereabouts

from gateway.ledger.posting import PostingState, post
from gateway.ledger.posting.memory import ListHistory
from gateway.transactions.intents import AnyIntent, Corrected, Counted, CountedLine, Scanned, SeenUnit, SnapshotTold
from vocabulary.movement import Content, Line, Movement
from vocabulary.place import Account
from vocabulary.records import Record, decode, encode
from vocabulary.stock import Stock, apply
from vocabulary.wire import OPENING_SNAPSHOT, BalanceLine, UnitLine, in_snapshot

AT = 1_767_592_800_000_000


class Ledger:
    """Stock and past, in memory."""

    def __init__(self) -> None:
        self.stock, self.history = Stock(), ListHistory()

    def do(self, *intents: AnyIntent) -> list[Record]:
        made: list[Record] = []
        for intent in intents:
            made += [self.add(one) for one in post(PostingState(self.stock, CATALOGUE, self.history), intent)]
        return made

    def add(self, record: Record) -> Record:
        record = decode(encode(record))
        apply(self.stock, self.history.append(record), record)
        return record


def told(stock: Stock, beyond: Iterable[Record] = ()) -> SnapshotTold:
    """What a headquarters that holds `stock` tells."""
    return SnapshotTold(
        occurred_at=AT + 9_999 * SECOND,
        since=AT,
        balances=tuple(
            BalanceLine(Account(key.place, key.status), key.item, one.quantity, key.lot, key.expiry, one.grams)
            for key, one in stock.balances.items()
            if in_snapshot(key.place)
        ),
        units=tuple(
            UnitLine(
                name,
                unit.account,
                unit.container or "",
                tuple(
                    Content(goods.item, one.quantity, goods.lot or UNSET, goods.expiry or UNSET)
                    for goods, one in unit.holds.items()
                ),
                unit.at,
                unit.first_from,
            )
            for name, unit in stock.units.items()
        ),
        beyond=tuple(beyond),
    )


def some(seed: str) -> list[AnyIntent]:
    """A stretch of a site's life."""
    draw = random.Random(seed)
    made: list[AnyIntent] = []
    for number in range(draw.randrange(5, 25)):
        at, pallet = AT + (number + 1) * 10 * SECOND, draw.randrange(1, 6)
        place = draw.choice(("bin-1", "bin-2", "dock-1"))
        made.append(
            draw.choice(
                [
                    crossing(at, "in", units(pallet)),
                    crossing(at, "out", units(pallet)),
                    moving(at, place, pallet_id(pallet)),
                    moving(at, place, case_id(pallet, 0)),
                    Scanned(occurred_at=at, kind="receiving", from_place="supplier", to_place=place, item="juice", pieces=9),
                    Scanned(
                        occurred_at=at, kind="shipping", from_place=place, to_place="customer", item="juice", pieces=4
                    ),
                    Counted(
                        occurred_at=at, account=Account(place), scope="listed", first_scan=at - SECOND,
                        lines=(CountedLine("juice", draw.randrange(12)),),
                    ),
                ]
            )
        )  # fmt: skip
    return made


@pytest.mark.parametrize("seed", range(30))
def test_any_ledger_is_brought_to_what_is_told(seed: int) -> None:
    there, here = Ledger(), Ledger()
    common = some(f"{seed}:common")
    there.do(*common, *some(f"{seed}:there"))
    here.do(*common, *some(f"{seed}:here"))
    rows = here.do(told(there.stock))
    assert all(record.rule == OPENING_SNAPSHOT for record in rows if isinstance(record, Movement))
    assert present(here.stock) == present(there.stock)
    assert whereabouts(here.stock) == whereabouts(there.stock)
    sums: Counter[str] = Counter()
    for key, amount in here.stock.balances.items():
        sums[key.item] += amount.quantity
    assert not any(sums.values())
    assert here.do(told(there.stock)) == []


@pytest.mark.parametrize("seed", range(10))
def test_rows_that_headquarters_lacks_stay_in_force(seed: int) -> None:
    there, here = Ledger(), Ledger()
    there.do(*some(f"{seed}:common"))
    for record in there.history.records:
        here.add(record)
    newer = here.do(*some(f"{seed}:newer"))
    before = present(here.stock), whereabouts(here.stock)
    assert here.do(told(there.stock, newer)) == []
    assert (present(here.stock), whereabouts(here.stock)) == before


def test_a_weight_without_pieces_is_put_right() -> None:
    there, here = Ledger(), Ledger()
    for ledger, grams in ((there, 700), (here, 1_000)):
        ledger.add(Movement("receiving", Account("supplier"), Account("dock-1"), AT, (Line("ham", 2, grams=grams),)))
    here.do(told(there.stock))
    assert {key: one for key, one in here.stock.balances.items() if key.place == "dock-1"} == {
        key: one for key, one in there.stock.balances.items() if key.place == "dock-1"
    }


@pytest.mark.parametrize("seed", range(20))
def test_late_facts_from_before_the_snapshot_change_nothing_that_was_told(seed: int) -> None:
    """Whatever is learnt late, and taken back again, of the time before: what headquarters told stands, nothing is made."""
    draw = random.Random(f"{seed}:late")
    there, here = Ledger(), Ledger()
    if seed % 2:  # it knows a part of the past, as after a fork
        here.do(*some(f"{seed}:common"))
    there.do(*some(f"{seed}:common"), *some(f"{seed}:there"))
    here.do(told(there.stock))
    before = present(here.stock), whereabouts(here.stock)
    known = sorted(name for name, unit in here.stock.units.items() if in_snapshot(unit.account.place))
    facts = 0
    for _ in range(6):
        unit = draw.choice(known)
        at = here.stock.units[unit].at - draw.randrange(1, 90) * SECOND
        late: AnyIntent = moving(at, draw.choice(("bin-1", "bin-2", "dock-1")), unit)
        if draw.random() < 0.5:
            late = crossing(at, draw.choice(("in", "out")), (SeenUnit(unit),))
        rows = here.do(late)
        facts += bool(rows)
        if rows and draw.random() < 0.3:
            group = next(seq for seq, one in enumerate(here.history.records, 1) if one is rows[0] or one == rows[0])
            here.do(Corrected(occurred_at=AT + 10_000 * SECOND, group=group, reason="never so"))
        assert (present(here.stock), whereabouts(here.stock)) == before
        sums: Counter[str] = Counter()
        for key, amount in here.stock.balances.items():
            sums[key.item] += amount.quantity
        assert not any(sums.values())
    assert facts


def test_a_late_fact_before_the_snapshot_is_recorded_and_moves_no_goods() -> None:
    there, here = Ledger(), Ledger()
    there.do(crossing(AT + 100 * SECOND, "in", units(1)), moving(AT + 200 * SECOND, "bin-1", pallet_id(1)))
    here.do(told(there.stock))
    rows = here.do(moving(AT + 150 * SECOND, "bin-2", pallet_id(1)))
    moves = [row for row in rows if isinstance(row, Movement)]
    assert [(row.to, row.implied is True) for row in moves] == [(Account("bin-2"), False), (moves[0].from_, True)]
    assert all(row.rule != OPENING_SNAPSHOT and row.reverses is UNSET for row in moves)
    here.do(moving(AT + 300 * SECOND, "dock-1", pallet_id(1)))
    assert present(here.stock) == {("dock-1", "available", "water", "", ""): 48}
