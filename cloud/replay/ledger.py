"""The ledger's own demand as a history to replay, and the last replay of each site: for the page and the API."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from litestar.connection import ASGIConnection
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.services import services_of
from cloud.decisions.replenishment import Terms
from cloud.errors import BadInputError, BusyError, NotFoundError
from cloud.forecasts.panel import Values
from cloud.recommendations.demand import HISTORY_DAYS
from cloud.recommendations.sites import site_settings
from cloud.recommendations.situation import Situation, situation
from cloud.replay.history import History
from cloud.replay.replay import LEAST_PERIODS, Replay, replay
from cloud.replay.tables import ORDER_COST, Table
from runtime.system import Runtime
from vocabulary.quantity import exponent

#: Place of the kept replays in the application's state.
_STATE = "replays"
#: Weeks read: what a decision cycle reads, in whole weeks that end with yesterday.
_WEEKS = HISTORY_DAYS // 7


async def read_ledger(conn: AsyncConnection, site_id: str, now: int) -> Table:
    """Weekly demand and terms of the items that somebody supplies to a site, up to yesterday; `now` microseconds UTC.

    Raises NotFoundError for a site that is not there or whose history is still arriving, BadInputError for too little demand.
    """
    settings = await site_settings(conn, now, [site_id])
    if not settings:
        raise NotFoundError(f"there is no site {site_id}, or its history is still arriving; try again when it is there")
    return table_of(await situation(conn, settings[0], now))


def table_of(found: Situation) -> Table:
    """The history of a site as a decision cycle sees it. Pure. Raises BadInputError where there is too little demand."""
    currency = Counter(terms.currency for terms in found.terms.values()).most_common(1)
    usable = {
        item: terms for item, terms in found.terms.items() if terms.price_micro > 0 and terms.currency == currency[0][0]
    }
    requests = [one for one in found.requests if one.item in usable and sum(one.quantities) > 0]
    if not requests:
        raise BadInputError(f"site {found.site.id}: no item has both demand and terms with a price; import terms first")
    start = found.site.today.toordinal() - 7 * _WEEKS
    demand = np.zeros((len(requests), 7 * _WEEKS))
    for row, one in zip(demand, requests, strict=True):
        offset = one.first - start
        known = np.asarray(one.quantities, dtype=np.float64)[max(-offset, 0) :]
        row[max(offset, 0) : max(offset, 0) + len(known)] = known[: len(row) - max(offset, 0)]
    weekly = demand.reshape(len(requests), _WEEKS, 7).sum(axis=2)
    begun = int((weekly.sum(axis=0) > 0).argmax())
    weekly = weekly[:, begun:]
    if weekly.shape[1] < LEAST_PERIODS:
        raise BadInputError(
            f"site {found.site.id}: demand is known for {weekly.shape[1]} weeks, a replay needs {LEAST_PERIODS}; "
            "replay an older demand file with evercount-cloud replay"
        )
    return _with_terms(found, [usable[one.item] for one in requests], [one.item for one in requests], weekly)


def _with_terms(found: Situation, terms: list[Terms], items: list[str], weekly: Values) -> Table:
    costs = [one.order_cost_minor / 10 ** exponent(one.currency) for one in terms]
    unknown = sum(not cost for cost in costs)
    none = np.full(len(terms), np.nan)
    history = History(
        names=tuple((found.site.id, item) for item in items),
        period_days=7.0,
        demand=weekly,
        unit_cost=np.asarray([one.price_micro / 1e6 for one in terms]),
        lead_time=np.asarray([max(one.lead_time_days / 7, 0.1) for one in terms]),
        order_cost=np.asarray([cost or ORDER_COST for cost in costs]),
        holding_rate=np.full(len(terms), max(found.site.policy.holding_rate, 1) / 1_000),
        moq=np.asarray([float(one.moq) for one in terms]),
        minimum=none,
        maximum=none,
    )
    supposed = (f"an order of {unknown} items costs {ORDER_COST:g}, since their terms name no order cost",)
    return Table(history, supposed if unknown else ())


@dataclass(frozen=True)
class Kept:
    """The last replay of a site, made at `made_at` (microseconds UTC)."""

    site: str
    made_at: int
    replay: Replay
    supposed: tuple[str, ...]


class Replays:
    """Plays one site at a time in a thread of its own, and keeps each site's last result until the program ends."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._executor = runtime.executor("replay")
        self._kept: dict[str, Kept] = {}
        self.progress: tuple[int, int] | None = None

    def of(self, site: str) -> Kept | None:
        """The last replay of a site."""
        return self._kept.get(site)

    async def run(self, site: str, table: Table) -> Kept:
        """Play now. Raises BusyError while another one is played, BadInputError where nothing can be played."""
        if self.progress is not None:
            done, total = self.progress
            raise BusyError(
                f"another replay is in work ({done} of {total} games); come back in a minute", retry_after=30
            )
        self.progress = 0, 1

        def told(done: int, total: int) -> None:
            self.progress = done, total

        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._executor, lambda: replay(table.history, progress=told)
            )
        except ValueError as error:
            raise BadInputError(f"site {site}: {error}; a longer history is needed") from None
        finally:
            self.progress = None
        kept = self._kept[site] = Kept(site, self._runtime.now(), found, table.supposed)
        return kept


def replays_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Replays:
    """The replays of the application that answers this request."""
    state = connection.app.state
    if _STATE not in state:
        state[_STATE] = Replays(services_of(connection).runtime)
    found = state[_STATE]
    assert isinstance(found, Replays)
    return found
