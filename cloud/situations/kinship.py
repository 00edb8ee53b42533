"""What an item takes over from another one: a successor the demand of what it replaces, a new item the shape of one alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import msgspec
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store import schema

#: Days of demand that are read: three years hold every season twice, and older ones describe another business.
HISTORY_DAYS = 1_096
#: Days of its own after which an item needs no other one to be foreseen, and days that the other one must have.
NEW_DAYS = 56
#: Days of the like item's demand that count as much as the new item's own: its level shows itself within weeks.
_LEVEL_DAYS = 28
#: Days over which the like item's level is measured.
_YEAR_DAYS = 364
#: Successors of successors that are followed: a longer chain is a circle.
_CHAIN = 10


class Past(msgspec.Struct, frozen=True):
    """What was wanted each day from the offset `begins` (of HISTORY_DAYS) up to yesterday, base units; `censored` are the
    offsets from `begins` of days when stock was out.
    """

    begins: int
    quantities: tuple[int, ...]
    censored: tuple[int, ...] = ()


class Kin(msgspec.Struct, frozen=True):
    """By item: what it replaces, from which ordinal date on nothing is sold of it, and what it is expected to sell like."""

    replaces: Mapping[str, tuple[str, ...]]
    ends: Mapping[str, int]
    like: Mapping[str, str]

    def heirs(self, known: Mapping[str, Past]) -> set[str]:
        """Items that replace one with a past; those that replace them, too."""
        found: set[str] = set()
        for _ in range(_CHAIN):
            found |= {heir for heir, olds in self.replaces.items() if any(old in known or old in found for old in olds)}
        return found

    def kin_of(self, items: Iterable[str]) -> set[str]:
        """`items` and all those whose past may count for one of them."""
        found = set(items)
        for _ in range(_CHAIN + 1):
            more = {old for item in found for old in self.replaces.get(item, ())}
            more |= {self.like[item] for item in found if item in self.like}
            if more <= found:
                break
            found |= more
        return found


class Heritage(msgspec.Struct, frozen=True):
    """The past that an item is foreseen by, the days ahead for which it counts, and in words what is not its own."""

    past: Past
    horizon: float
    lent: str


async def read_kin(conn: AsyncConnection) -> Kin:
    """Who replaces whom and who is like whom, in one query."""
    c = schema.item.c
    query = select(c.id, c.successor, c.discontinued_on, c.like_item).where(
        or_(c.successor != "", c.discontinued_on != "", c.like_item != "")
    )
    replaces: dict[str, list[str]] = {}
    ends: dict[str, int] = {}
    like: dict[str, str] = {}
    for item, successor, ended, alike in await conn.execute(query.order_by(c.id)):
        if ended:
            ends[item] = date.fromisoformat(ended).toordinal()
            if successor and successor != item:
                replaces.setdefault(successor, []).append(item)
        if alike and alike != item:
            like[item] = alike
    return Kin({item: tuple(olds) for item, olds in replaces.items()}, ends, like)


def heritage(item: str, own: Mapping[str, Past], kin: Kin, today: int, horizon: float) -> Heritage | None:
    """What `item` is foreseen by over `horizon` days from the ordinal date `today` on; None where it is not wanted. Pure.

    An item that is discontinued on a day is wanted up to it; what replaces it, from that day on.
    """
    end = kin.ends.get(item)
    if end is not None:
        horizon = min(horizon, float(end - today))
        if horizon <= 0:
            return None
    mine = own.get(item)
    olds = [old for old in kin.replaces.get(item, ()) if kin.ends[old] < today + horizon]
    old_pasts = [past for old in olds if (past := _whole(old, own, kin)) is not None]
    if old_pasts:
        if mine is None:  # it begins when the first of them ends
            horizon -= max(0.0, float(min(kin.ends[old] for old in olds) - today))
        past = _sum([*old_pasts, *([mine] if mine else [])])
        return Heritage(past, horizon, f"with the demand of {' and '.join(olds)}, which it replaces")
    alike = kin.like.get(item, "")
    other = _whole(alike, own, kin) if alike else None
    if other is not None and (mine is None or len(mine.quantities) < NEW_DAYS <= len(other.quantities)):
        past, level = _like(mine, other)
        return Heritage(past, horizon, f"as {alike} is wanted, at {100 * level:.0f} % of its level")
    return None if mine is None else Heritage(mine, horizon, "")


def _whole(item: str, own: Mapping[str, Past], kin: Kin, depth: int = 0) -> Past | None:
    """The item's own past and that of all it replaced."""
    found = [own[item]] if item in own else []
    if depth < _CHAIN:
        olds = (_whole(old, own, kin, depth + 1) for old in kin.replaces.get(item, ()))
        found += [past for past in olds if past is not None]
    return _sum(found) if found else None


def _sum(parts: list[Past]) -> Past:
    """Pasts together; a day counts as censored where it is for any of them."""
    if len(parts) == 1:
        return parts[0]
    begins = min(part.begins for part in parts)
    quantities = [0] * (HISTORY_DAYS - begins)
    censored: set[int] = set()
    for part in parts:
        for offset, quantity in enumerate(part.quantities, part.begins - begins):
            quantities[offset] += quantity
        censored |= {part.begins - begins + offset for offset in part.censored}
    return Past(begins, tuple(quantities), tuple(sorted(censored)))


def _like(mine: Past | None, other: Past) -> tuple[Past, float]:
    """The other's past at the level of the new item, which follows with its own; and that level as a share.

    The share is what came of the new item over what came of the other in the same days, with a month at the other's level
    added to both: without any demand of its own the new item is taken for the other one.
    """
    known = () if mine is None else mine.quantities
    year = other.quantities[-_YEAR_DAYS:]
    month = _LEVEL_DAYS * sum(year) / max(len(year), 1)
    beside = sum(other.quantities[-len(known) :]) if known else 0
    share = (sum(known) + month) / (beside + month) if month > 0 else 1.0
    before: list[int] = []
    total, told = 0.0, 0
    for quantity in other.quantities[: len(other.quantities) - len(known)]:
        total += quantity * share
        before.append(max(round(total) - told, 0))  # rounded on the sum, so that small shares do not vanish
        told += before[-1]
    cut = len(before)
    censored = [offset for offset in other.censored if offset < cut]
    censored += [cut + offset for offset in mine.censored] if mine else []
    return Past(other.begins, (*before, *known), tuple(censored)), share
