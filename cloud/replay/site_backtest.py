"""A backtest of the forecasts on a site's own demand, week by week, kept as a study; it works in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from math import ceil, exp, log1p

import msgspec
import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.errors import BadInputError, CloudError, NotFoundError
from cloud.forecasts.forecast import Driver
from cloud.forecasts.panel import Values
from cloud.replay.backtest import Backtest, Demand
from cloud.replay.studies import Progress, Studies, Study, last, result
from cloud.situations.demand import HISTORY_DAYS
from cloud.situations.sites import site_settings
from cloud.situations.situation import Situation, situation

#: Series that are measured at most, evenly taken: more change the figures in the third digit only.
SERIES = 1_000
#: Weeks that must be known before the first origin, and origins at most.
LEAST_WEEKS, FOLDS = 26, 4
#: Bounds of the weeks ahead that are measured.
_LEAST_AHEAD, _MOST_AHEAD = 1, 13
_WEEKS = HISTORY_DAYS // 7


class Task(msgspec.Struct, frozen=True):
    """What is measured: `table` are float64 of (series, weeks) in a row; the rest as in `backtest.Demand`."""

    names: tuple[tuple[str, str], ...]
    table: bytes
    first: int
    value: tuple[float, ...]
    labels: tuple[str, ...]
    drivers: tuple[Driver, ...]
    country: str
    horizon: int
    folds: int

    @property
    def demand(self) -> Demand:
        """The demand as a table."""
        table = np.frombuffer(self.table).reshape(len(self.names), -1)
        return Demand(self.names, table, self.first, 7, np.asarray(self.value), self.labels, self.drivers, self.country)


class Kept(msgspec.Struct, frozen=True):
    """What came out, and of how many items of the site."""

    backtest: Backtest
    items: int


#: Measures a task, telling (done, total); gives the Backtest as JSON.
Measure = Callable[[Task, Progress], bytes]


async def read_task(conn: AsyncConnection, site_id: str, now: int) -> tuple[Task, int]:
    """What can be measured at a site, and its items with demand. Raises NotFoundError, BadInputError for too little demand."""
    settings = await site_settings(conn, now, [site_id])
    if not settings:
        raise NotFoundError(f"there is no site {site_id}, or its history is still arriving; try again when it is there")
    return task_of(await situation(conn, settings[0], now))


def task_of(found: Situation) -> tuple[Task, int]:
    """The weeks of a site as a decision cycle sees them, up to yesterday. Pure."""
    requests = [one for one in found.requests if sum(one.quantities) > 0]
    start = found.site.today.toordinal() - 7 * _WEEKS
    count = len(requests)
    requests = requests[:: max(1, -(-count // SERIES))]
    daily = np.zeros((len(requests), 7 * _WEEKS))
    for row, one in zip(daily, requests, strict=True):
        known = np.asarray(one.quantities, dtype=np.float64)[-7 * _WEEKS :]
        row[len(row) - len(known) :] = known
    weeks: Values = daily.reshape(len(requests), _WEEKS, 7).sum(axis=2)
    begun = int((weeks.sum(axis=0) > 0).argmax()) if count else 0
    weeks = weeks[:, begun:]
    ahead = ceil(float(np.median([one.lead_time + one.review for one in requests])) / 7) if count else _LEAST_AHEAD
    ahead = min(max(ahead, _LEAST_AHEAD), _MOST_AHEAD)
    folds = min(FOLDS, (weeks.shape[1] - LEAST_WEEKS) // ahead)
    if not count or folds < 1:
        raise BadInputError(
            f"site {found.site.id}: demand is known for {weeks.shape[1] if count else 0} weeks; to look back {ahead} weeks "
            f"{LEAST_WEEKS + ahead} are needed: import demand history from before"
        )
    prices = {item: terms.price_micro / 1e6 for item, terms in found.terms.items()}
    middle = float(np.median([price for price in prices.values() if price > 0] or [1.0]))
    first = start + 7 * begun
    labels = tuple(found.site.today.fromordinal(first + 7 * week).isoformat() for week in range(weeks.shape[1]))
    task = Task(
        names=tuple((one.site, one.item) for one in requests),
        table=np.ascontiguousarray(weeks).tobytes(),
        first=first,
        value=tuple(prices.get(one.item, 0.0) or middle for one in requests),
        labels=labels,
        drivers=tuple(in_weeks(one, first) for one in found.drivers),
        country=found.site.country,
        horizon=ahead,
        folds=folds,
    )
    return task, count


def in_weeks(driver: Driver, first: int) -> Driver:
    """A daily driver as one of weeks that begin on the weekday of the ordinal date `first`. Pure.

    A plan counts for the part of a week that it fills; a planned change of demand as that of the week's demand. What holds
    until the next value, and indicators, stay as they are: their mean over a week is taken.
    """
    if driver.holds or not any(driver.planned):
        return driver
    since = driver.since or (0,) * len(driver.dates)
    weeks: dict[int, tuple[float, bool, int]] = {}
    for date, value, planned, known in zip(driver.dates, driver.values, driver.planned, since, strict=True):
        week = first + 7 * ((date - first) // 7)
        total, all_planned, latest = weeks.get(week, (0.0, True, 0))
        part = exp(value) - 1 if driver.expected else value
        weeks[week] = total + part / 7, all_planned and planned, max(latest, known)
    dates = tuple(sorted(weeks))
    values = tuple(log1p(max(weeks[week][0], -0.99)) if driver.expected else weeks[week][0] for week in dates)
    return msgspec.structs.replace(
        driver,
        dates=dates,
        values=values,
        planned=tuple(weeks[week][1] for week in dates),
        since=tuple(weeks[week][2] for week in dates) if driver.since else (),
    )


def in_a_process(task: Task, progress: Progress) -> bytes:
    """Measure in a process of its own, where the libraries are: this one serves. Raises CloudError when it ends early."""
    command = (sys.executable, "-m", "cloud.replay.backtest_worker")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.msgpack.encode(task))
            process.stdin.close()
            for line in process.stdout:
                if line.startswith(b"{"):
                    return line
                done, total = line.split()
                progress(int(done), int(total))
        except OSError as error:
            raise CloudError(f"the backtest's process cannot be talked to: {error}") from None
        finally:
            process.kill()
    raise CloudError("the backtest's process ended in mid-work; its own message is in the log")


async def begin_backtest(
    studies: Studies, site: str, actor: str, task: Task, items: int, measure: Measure = in_a_process
) -> int:
    """Start a backtest in the background; returns when it began (microseconds UTC). Raises BusyError while one is in work."""

    def job(progress: Progress) -> bytes:
        found = msgspec.json.decode(measure(task, progress), type=Backtest)
        return msgspec.json.encode(Kept(found, items))

    taken = "all" if len(task.names) == items else f"every {-(-items // SERIES)}th"
    text = f"{len(task.names)} items ({taken}), {task.horizon} weeks ahead from {task.folds} past weeks"
    return await studies.begin(site, "backtest", actor, text, job)


async def kept_backtest(
    conn: AsyncConnection, site: str, now: int, started_at: int | None = None
) -> tuple[Study, Kept] | None:
    """The latest backtest of a site that is done, or the one that began at `started_at`."""
    study = await last(conn, site, "backtest", now, "done", started_at)
    if study is None:
        return None
    return study, msgspec.json.decode(await result(conn, study), type=Kept)
