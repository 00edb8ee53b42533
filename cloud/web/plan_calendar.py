"""Campaigns and price changes of the next half year on one time axis. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from cloud.web.words import number

#: Weeks that the axis shows; decisions look no farther ahead.
WEEKS = 26
#: Items of a campaign that are named; the others are a link away.
NAMED_ITEMS = 6

State = Literal["planned", "running", "over"]


@dataclass(frozen=True, slots=True)
class Axis:
    """WEEKS weeks from a Monday on; places on it are per cent of its width."""

    first: date

    @property
    def last(self) -> date:
        """Its last day."""
        return self.first + timedelta(days=7 * WEEKS - 1)

    def place(self, day: date) -> float:
        """Where a day begins, within 0 and 100."""
        return round(min(max((day - self.first).days / (7 * WEEKS), 0.0), 1.0) * 100, 2)

    def weeks(self) -> list[float]:
        """Where weeks begin."""
        return [self.place(self.first + timedelta(weeks=week)) for week in range(1, WEEKS)]

    def months(self) -> list[tuple[float, str]]:
        """Where months begin, and their names; January with its year."""
        found: list[tuple[float, str]] = []
        day = self.first
        while day <= self.last:
            following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
            if (min(following, self.last) - day).days >= 10:  # a name needs that much room
                found.append((self.place(day), f"{day:%b %Y}" if day.month == 1 else f"{day:%b}"))
            day = following
        return found


def axis_of(today: date) -> Axis:
    """The axis that begins with this week."""
    return Axis(today - timedelta(days=today.weekday()))


@dataclass(frozen=True, slots=True)
class CampaignLine:
    """A campaign at a site ("" = every site): its days, what is planned, its items (id, name), and where it is drawn."""

    site_id: str
    id: str
    name: str
    first_day: date
    last_day: date
    uplift: str
    items: Sequence[tuple[str, str]]
    every_item: bool
    state: State
    left: float
    width: float

    @property
    def days(self) -> int:
        """How long it lasts."""
        return (self.last_day - self.first_day).days + 1

    @property
    def named(self) -> Sequence[tuple[str, str]]:
        """The items that are named."""
        return self.items[:NAMED_ITEMS]

    @property
    def more(self) -> int:
        """How many items are not named."""
        return len(self.items) - len(self.named)


def percent(per_mille: int) -> str:
    """A planned uplift: 300 -> +30 %."""
    text = number(abs(per_mille) / 10, 1).removesuffix(".0")
    return f"{'−' if per_mille < 0 else '+'}{text} %"


def campaign_lines(
    rows: Iterable[Mapping[str, Any]], names: Mapping[str, str], axis: Axis, today: Mapping[str, date]
) -> list[CampaignLine]:
    """Rows of campaigns, one for each of its items, as lines in order of site and day; `today` by site."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["site_id"], row["id"]), []).append(row)
    lines = [_campaign(group, names, axis, today) for group in groups.values()]
    return sorted(lines, key=lambda line: (line.site_id, line.first_day, line.id))


def _campaign(
    rows: Sequence[Mapping[str, Any]], names: Mapping[str, str], axis: Axis, today: Mapping[str, date]
) -> CampaignLine:
    site_id = rows[0]["site_id"]
    first = min(date.fromisoformat(row["first_day"]) for row in rows)
    last = max(date.fromisoformat(row["last_day"]) for row in rows)
    least, most = min(row["uplift"] for row in rows), max(row["uplift"] for row in rows)
    items = [(row["item"], names.get(row["item"], "")) for row in rows if row["item"]]
    left, right = axis.place(first), axis.place(last + timedelta(days=1))
    uplift = percent(least) if least == most else f"{percent(least)} to {percent(most)}"
    return CampaignLine(
        site_id, rows[0]["id"], rows[0]["name"] or rows[0]["id"], first, last, uplift, items, len(items) < len(rows),
        state_of(first, last, today.get(site_id, axis.first)), left, round(right - left, 2),
    )  # fmt: skip


def state_of(first: date, last: date, today: date) -> State:
    """Whether a campaign has begun, and is over."""
    return "planned" if first > today else "running" if last >= today else "over"


@dataclass(frozen=True, slots=True)
class PriceMark:
    """A change of a price: where it is drawn, and whether it goes up, down, or nobody knows."""

    day: str
    left: float
    text: str
    way: Literal["up", "down", "new"]


@dataclass(frozen=True, slots=True)
class PriceLine:
    """An item's changes of price at a site ("" = every site)."""

    site_id: str
    item: str
    name: str
    marks: Sequence[PriceMark]


def price_text(micro: int, currency: str) -> str:
    """A price per base unit, with two decimals at least: 3.45 EUR."""
    text = f"{micro / 1_000_000:.6f}".rstrip("0")
    whole, _, rest = text.partition(".")
    return f"{number(int(whole))}.{rest:0<2} {currency}"


def price_lines(
    rows: Iterable[Mapping[str, Any]], before: Mapping[tuple[str, str], int], names: Mapping[str, str], axis: Axis
) -> list[PriceLine]:
    """Changes of prices, in the order of their days, as a line for each item and site; `before` is what held until then."""
    lines: dict[tuple[str, str], list[PriceMark]] = {}
    held = dict(before)
    for row in rows:
        key = row["site_id"], row["item"]
        old, new = held.get(key), row["price_micro"]
        held[key] = new
        text = f"{row['day']}: {price_text(new, row['currency'])}"
        if old is not None:
            text += f", was {price_text(old, row['currency'])}"
        way = "new" if old is None or old == new else "up" if new > old else "down"
        mark = PriceMark(row["day"], axis.place(date.fromisoformat(row["day"])), text, way)
        lines.setdefault(key, []).append(mark)
    return [PriceLine(site, item, names.get(item, ""), marks) for (site, item), marks in sorted(lines.items())]
