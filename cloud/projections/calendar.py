"""A site's business days: an IANA zone, and the minute after midnight at which its day begins."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cloud.errors import BadInputError

#: All zones are whole quarters of an hour from UTC, so every moment of one quarter has the same business minute offset.
QUARTER_US = 15 * 60 * 1_000_000
MINUTE_US = 60 * 1_000_000
#: Days remembered: three years of quarters would be 100,000; a catch-up needs a few thousand.
REMEMBERED = 20_000


class BusinessDays:
    """Which business day (ISO date) a moment belongs to, and how long the site was open between two moments.

    `day_start`, `opens` and `closes` are minutes after local midnight; `day_start` is a multiple of 15.
    """

    def __init__(self, zone: str, day_start: int = 0, opens: int = 0, closes: int = 1_440) -> None:
        try:
            self._zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise BadInputError(f"{zone!r} is no IANA time zone; write one such as Europe/Berlin") from None
        self._start = timedelta(minutes=day_start)
        self._opens, self._closes = opens, closes
        self._days: dict[int, str] = {}

    def day(self, moment: int) -> str:
        """The business day of `moment`, microseconds UTC."""
        quarter = moment // QUARTER_US
        day = self._days.get(quarter)
        if day is None:
            if len(self._days) >= REMEMBERED:
                self._days.clear()
            local = datetime.fromtimestamp(quarter * QUARTER_US // 1_000_000, UTC).astimezone(self._zone)
            day = (local.replace(tzinfo=None) - self._start).date().isoformat()
            self._days[quarter] = day
        return day

    def open_minutes(self, start: int, end: int) -> dict[str, int]:
        """Opening minutes between two moments, by business day; empty where `end` is not after `start`."""
        minutes: dict[str, int] = {}
        if end <= start:
            return minutes
        day = date.fromisoformat(self.day(start)) - timedelta(days=1)
        last = date.fromisoformat(self.day(end)) + timedelta(days=1)
        while day <= last:
            opens, closes = self._moment(day, self._opens), self._moment(day, self._closes)
            shared = min(end, closes) - max(start, opens)
            if shared > 0:
                name = self.day(max(start, opens))
                minutes[name] = minutes.get(name, 0) + shared // MINUTE_US
            day += timedelta(days=1)
        return {name: count for name, count in minutes.items() if count}

    def _moment(self, day: date, minute: int) -> int:
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - local wall time, given its zone below
        local = (midnight + timedelta(minutes=minute)).replace(tzinfo=self._zone)
        return int(local.timestamp()) * 1_000_000
