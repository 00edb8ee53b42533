"""The whole system in one process on virtual time: headquarters, two gateways, four readers, pallets, links that fail.

    python tests/scenarios/whole_system.py SEED FOLDER [SECONDS]

prints what the run left behind, one line each: the gateways' ledgers row by row, headquarters' ledger in order of arrival, the
true crossings, and a last line with the figures. The same seed gives the same lines, byte for byte.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import observer
import virtual
from seeded_site import CASE, ITEMS, OPENING, URL, Load, Site, gtin, unit_of
from sqlalchemy.ext.asyncio import AsyncEngine
from virtual import AsgiTransport, Network

from cloud.access import accounts
from cloud.app import build
from cloud.config import Config, Cycle
from cloud.projections.rebuild import verify_site
from cloud.store.database import open_engine, reading, writing
from cloud.store.migrate import migrate
from gateway.simulation.scenario import Direction
from vocabulary import records

#: Ten virtual minutes.
SECONDS = 600.0
SITES = ("north", "south")


@dataclass
class Outcome:
    """What a run left behind: `lines` to compare, `figures` of it, and what an observer finds wrong."""

    lines: list[str] = field(default_factory=list[str])
    figures: dict[str, Any] = field(default_factory=dict[str, Any])
    faults: list[str] = field(default_factory=list[str])


def play(seed: int, folder: Path, seconds: float = SECONDS) -> Outcome:
    """Run the system from `seed` with its files in `folder` (empty) for `seconds` of virtual time, then judge it."""
    draw = Random(f"{seed}:executor")
    return virtual.run(lambda: _run(seed, folder, seconds), lambda: draw.uniform(0.0, 0.01))


async def _run(seed: int, folder: Path, seconds: float) -> Outcome:
    network = Network(seed)
    engine = open_engine(f"sqlite:///{folder / 'cloud.db'}")
    runtime = network.runtime("headquarters")
    await migrate(engine)
    app = build(Config(cycle=Cycle(every_minutes=0)), runtime, engine)
    try:
        async with app.lifespan(), asyncio.timeout(seconds + 600), asyncio.TaskGroup() as announcing:
            async with writing(engine) as conn:
                role = accounts.role_of("owner")
                key = await accounts.make_key(conn, runtime, "scenario", role, "", "", "scenario")
            office = Office(app, key)
            sites = [
                Site(name, number, network, folder / name, app, seconds, office.announcer(announcing))
                for number, name in enumerate(SITES, 1)
            ]
            await office.found(sites)
            async with asyncio.TaskGroup() as running:
                for site in sites:
                    running.create_task(site.run())
        await office.close()
        return await judged(engine, folder / "cloud.db", sites)
    finally:
        await engine.dispose()


class Office:
    """The people at headquarters: they use the public API alone."""

    def __init__(self, app: Any, key: str) -> None:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._client = httpx.AsyncClient(transport=AsgiTransport(app), base_url=f"{URL}/api/v1", headers=headers)

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, method: str, path: str, content: object) -> Any:
        answer = await self._client.request(method, path, content=msgspec.json.encode(content))
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def found(self, sites: list[Site]) -> None:
        """Master data, enrolments and opening stock."""
        await self.ask("PUT", "/sites", [{"id": site.name, "zone": "Europe/Berlin"} for site in sites])
        await self.ask("PUT", "/items", [{"id": name, "name": name} for name in ITEMS])
        packaging = [
            {"gtin": gtin(number, indicator), "item": name, "quantity": quantity}
            for number, name in enumerate(ITEMS)
            for indicator, quantity in ((0, 1), (1, CASE))
        ]
        await self.ask("PUT", "/packaging", packaging)
        await self.ask("PUT", "/suppliers", [{"id": "SUP-1", "name": "Supplier"}])
        for site in sites:
            places = [("storage", "zone"), ("dock-1", "dock"), ("dock-2", "dock")]
            rows = [{"site_id": site.name, "id": site.name, "kind": "site"}]
            rows += [{"site_id": site.name, "id": name, "kind": kind, "parent": site.name} for name, kind in places]
            await self.ask("PUT", "/places", rows)
            await site.enrol((await self.ask("POST", f"/sites/{site.name}/enrolment-codes", {}))["code"])
            lines = [{"account": ["storage", "available"], "item": name, "quantity": OPENING} for name in ITEMS]
            await self.ask("POST", "/opening-stock", {"site": site.name, "lines": lines})

    def announcer(self, group: asyncio.TaskGroup) -> Callable[[str, Load], object]:
        """Announce a load to its site, in a task of `group`."""
        return lambda site, load: group.create_task(self._announce(site, load))

    async def _announce(self, site: str, load: Load) -> None:
        sscc = unit_of(load.sscc)
        holds = [{"item": ITEMS[load.item], "quantity": CASE}]
        cases = [{"unit": unit_of(case), "container": sscc, "holds": holds} for case in load.cases]
        lines = [{"line": 1, "item": ITEMS[load.item], "quantity": CASE * len(load.cases)}]
        notice = {"site": site, "type": "expected-receipt", "partner": "SUP-1", "lines": lines, "units": cases}
        await self.ask("POST", "/documents", notice)


# -------------------------------------------------------------------------------------------------------- the observer

_ARRIVAL = "SELECT epoch, seq, position, occurred_at, received_at, hash FROM ledger WHERE site_id = ? ORDER BY position"


async def judged(engine: AsyncEngine, database: Path, sites: list[Site]) -> Outcome:
    """Compare what happened, what the gateways recorded and what headquarters holds."""
    out = Outcome()
    for site in sites:
        async with reading(engine) as conn:
            out.faults += [f"{site.name}: {fault}" for fault in (await verify_site(conn, site.name)).differences]
        out.faults += observer.compare(site.name, site.ledger, database)
        own = observer.gateway_rows(site.ledger)
        out.lines += [f"ledger {site.name} {row.epoch} {row.seq} {row.hash.hex()} {row.body.decode()}" for row in own]
        for *row, row_hash in observer.query(database, _ARRIVAL, site.name):
            out.lines.append(f"cloud {site.name} {' '.join(map(str, row))} {row_hash.hex()}")
        out.lines += [f"crossing {site.name} {msgspec.json.encode(crossing).decode()}" for crossing in site.truth]
        truth = [
            observer.TrueCrossing(unit_of(code), crossing.door, crossing.direction is Direction.OUT, crossing.at)
            for crossing in site.truth
            for code in crossing.epcs
        ]
        recall = observer.recall(truth, observer.movements(own))
        out.faults += [f"{site.name}: {fault}" for fault in recall.twice]
        kinds = Counter(records.kind_of(row.body) for row in own)
        out.figures[site.name] = {
            "rows": len(own),
            "kinds": dict(sorted(kinds.items())),
            "outages": len(site.link.outages),
            "lost requests": site.link.lost_requests,
            "lost answers": site.link.lost_answers,
            **recall._asdict(),
        }
    return out


def main() -> None:
    """Play one seed and print what it left behind."""
    seed, folder = int(sys.argv[1]), Path(sys.argv[2])
    outcome = play(seed, folder, float(sys.argv[3]) if len(sys.argv) > 3 else SECONDS)
    for line in outcome.lines:
        print(line)
    print("figures", msgspec.json.encode({**outcome.figures, "faults": outcome.faults}).decode())


if __name__ == "__main__":
    main()
