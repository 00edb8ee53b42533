"""What headquarters may release by itself, and what two people must approve: the limits, and the rule over them.

The closest row of `autonomy` counts: the site's for the category, the site's for all, every site's for the category, every
site's for all. Where there is none nothing is released and one person's approval is enough.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store import plans
from vocabulary.quantity import Money, exponent


class Limits(msgspec.Struct, frozen=True):
    """A row of the table; money in minor units of `currency`, `least_confidence` per mille, None for no limit."""

    site_id: str
    category: str
    release_minor: int
    daily_minor: int
    least_confidence: int
    most_cover_days: int
    four_eyes_minor: int | None
    currency: str

    @property
    def actor(self) -> str:
        """As the audit log names this policy; * stands for every one."""
        return f"policy {self.site_id or '*'}/{self.category or '*'}"


class Case(msgspec.Struct, frozen=True):
    """A new proposal as the rule sees it: its cost, confidence per mille, days of cover afterwards, whether the supplier is
    known, whether it had an order for this item here before, and whether a person or the supplier turned one down lately.
    """

    cost: Money
    confidence: int
    cover_days: float
    known_supplier: bool
    ordered_before: bool
    turned_down: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """Whether a proposal releases itself; why in one sentence, and the numbers behind it."""

    released: bool
    text: str
    numbers: dict[str, int | float | str]


async def read_limits(conn: AsyncConnection, site_id: str) -> list[Limits]:
    """The rows that may hold at a site, in one query."""
    a = plans.autonomy.c
    rows = await conn.execute(
        select(*(a[name] for name in Limits.__struct_fields__))
        .where(a.site_id.in_(("", site_id)))
        .order_by(a.site_id, a.category)
    )
    return [Limits(*row) for row in rows]


def closest(limits: Iterable[Limits], site_id: str, category: str) -> Limits | None:
    """The row that holds for a category at a site; None where nobody set one."""
    fitting = [one for one in limits if one.site_id in ("", site_id) and one.category in ("", category)]
    return max(fitting, key=lambda one: (one.site_id != "", one.category != ""), default=None)


def needs_two(limits: Limits | None, cost: Money) -> bool:
    """Whether two people must approve; an amount in another currency cannot be compared, so two look at it."""
    if limits is None or limits.four_eyes_minor is None:
        return False
    return cost.currency != limits.currency or cost.minor > limits.four_eyes_minor


def judge(limits: Limits | None, case: Case, released_minor: int) -> Verdict:
    """Whether a proposal may release itself when `released_minor` was released today at its site by the same row."""
    refusal = _refusal(limits, case, released_minor)
    if refusal or limits is None:
        return Verdict(False, refusal, {})
    value, most = money_text(case.cost), money_text(Money(limits.release_minor, limits.currency))
    daily = money_text(Money(limits.daily_minor, limits.currency))
    total = Money(released_minor + case.cost.minor, limits.currency)
    text = (
        f"Released by {limits.actor}: {value} is within {most}, sure {case.confidence / 10:.1f} % of at least "
        f"{limits.least_confidence / 10:.1f} %, {case.cover_days:.0f} days of cover of at most {limits.most_cover_days}, "
        f"{money_text(total)} of {daily} today, and the supplier delivered it before."
    )
    numbers: dict[str, int | float | str] = {
        "cost_minor": case.cost.minor,
        "currency": case.cost.currency,
        "release_minor": limits.release_minor,
        "confidence": case.confidence,
        "least_confidence": limits.least_confidence,
        "cover_days": round(case.cover_days, 1),
        "most_cover_days": limits.most_cover_days,
        "today_minor": total.minor,
        "daily_minor": limits.daily_minor,
    }
    return Verdict(True, text, numbers)


def _refusal(limits: Limits | None, case: Case, released_minor: int) -> str:
    """Why a person must look, "" where nobody needs to."""
    if limits is None or limits.release_minor <= 0:
        return "nothing is released here without a person"
    checks = (
        (case.cost.currency != limits.currency, f"the limits are in {limits.currency}"),
        (case.cost.minor > limits.release_minor, "it costs more than one release may"),
        (needs_two(limits, case.cost), "two people approve such an amount"),
        (case.confidence < limits.least_confidence, "the forecast is not sure enough"),
        (case.cover_days > limits.most_cover_days, "it would cover too many days"),
        (not case.known_supplier, "the supplier is not known"),
        (not case.ordered_before, "it is the first order of this item from this supplier"),
        (case.turned_down, "an order of it was taken back or refused lately"),
        (released_minor + case.cost.minor > limits.daily_minor, "the day's sum would be exceeded"),
    )
    return next((text for applies, text in checks if applies), "")


def money_text(value: Money) -> str:
    """An amount for a sentence: 1234.50 EUR."""
    places = exponent(value.currency)
    return f"{value.minor / 10**places:.{places}f} {value.currency}"
