"""How numbers, money and times are written on pages. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from vocabulary.quantity import exponent

#: Between groups of three digits: a narrow space that does not break (ISO 80000-1).
GROUP = "\u202f"
MINUTE_US, HOUR_US, DAY_US = 60_000_000, 3_600_000_000, 86_400_000_000
#: How base units are called.
UNITS = {"H87": "pcs", "GRM": "g", "MLT": "mL", "MMT": "mm", "CMK": "cm²"}


def number(value: int | float | None, decimals: int = 0) -> str:
    """A number with grouped digits; an en dash for none."""
    if value is None:
        return "–"
    return f"{value:,.{decimals}f}".replace(",", GROUP).replace("-", "−")


def money(minor: int | None, currency: str) -> str:
    """An amount in integer minor units, such as 1 234.50 EUR; an en dash for none."""
    if minor is None:
        return "–"
    places = exponent(currency)
    whole, rest = divmod(abs(minor), 10**places)
    decimals = f".{rest:0{places}d}" if places else ""
    return f"{'−' if minor < 0 else ''}{number(whole)}{decimals} {currency}".rstrip()


def from_micro(micro: int, currency: str) -> int:
    """Minor units out of 10^-6 major units, rounded half up once."""
    divisor = 10 ** (6 - exponent(currency))
    return (2 * micro + divisor) // (2 * divisor)


def age(us: int) -> str:
    """How long ago, for people: 3 s, 5 min, 7 h, 12 days."""
    if us < MINUTE_US:
        return f"{max(us, 0) // 1_000_000} s"
    if us < 2 * HOUR_US:
        return f"{us // MINUTE_US} min"
    if us < 2 * DAY_US:
        return f"{us // HOUR_US} h"
    return f"{us // DAY_US} days"


def moment(us: int, zone: str = "UTC", now: int | None = None) -> str:
    """A time at a site: 14:03:22, with its date where that is not the day of `now`."""
    local = _local(us, zone)
    if now is not None and _local(now, zone).date() == local.date():
        return f"{local:%H:%M:%S}"
    return f"{local.day} {local:%b %Y %H:%M}"


def day(us: int, zone: str = "UTC") -> str:
    """The ISO date of a time at a site."""
    return _local(us, zone).date().isoformat()


def iso(us: int) -> str:
    """A time for machines, UTC."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).isoformat().replace("+00:00", "Z")


def permille(value: int | None) -> str:
    """A share in per mille as per cent: 987 -> 98.7 %."""
    return "–" if value is None else f"{value / 10:.1f} %".replace(".0 ", " ")


def _local(us: int, zone: str) -> datetime:
    return datetime.fromtimestamp(us // 1_000_000, UTC).astimezone(ZoneInfo(zone))
