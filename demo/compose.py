"""Sets up and runs the demo's parts: headquarters, three sites with emulated doors, their history, their partners."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import msgspec

from demo.api import Api, ApiError
from demo.catalogue import CURRENCY, CUSTOMERS, SITES, SUPPLIERS, DemoItem, items
from demo.masters import masters
from demo.partners import Settings, SiteSettings
from demo.processes import Child, Children, DemoError, free_ports
from runtime.clock import VARIABLE, Clock, clock_from_environment

_SITES_FOLDER = Path(__file__).parent / "sites"
#: Minutes of the demo's clock between two decision cycles: a user sees new proposals within a short visit.
_CYCLE_MINUTES = 3
#: Hour (UTC) of a working day at which the demo's clock starts.
_START_HOUR = 7
#: Purchase orders of each site that are under way when the demo starts, and seconds of the watcher between two of them.
_UNDER_WAY = 8
_UNDER_WAY_S = 25
#: Seconds that the history may take to arrive and the first decisions to be made.
_READY_S = 180.0
#: Name of the owner whose sign-in link is printed.
_OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may choose."""

    seed: int = 1
    #: seconds of the demo's clock in a second of the watcher
    speed: float = 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where something can be looked at."""

    name: str
    url: str


@dataclass(slots=True)
class Demo:
    """A demo that runs."""

    folder: Path
    children: Children
    link: str
    addresses: list[Address]
    rows: int
    #: site -> where its emulated doors take orders
    controls: dict[str, str]
    clock: Clock

    async def watch(self) -> None:
        """Runs until cancelled. Raises DemoError when a part ends by itself."""
        while True:
            self.children.check()
            await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def running(folder: Path, options: Options, say: Callable[[str], None]) -> AsyncGenerator[Demo]:
    """Set everything up in `folder`, which must be empty, and stop it in the end. Raises DemoError."""
    setup = _Setup(folder, options, say)
    try:
        yield await setup.run()
    finally:
        await setup.children.stop()


class _Setup:
    def __init__(self, folder: Path, options: Options, say: Callable[[str], None]) -> None:
        self._folder, self._options, self._say = folder, options, say
        self._ports = list(free_ports(1 + 3 * len(SITES)))
        self._url = f"http://127.0.0.1:{self._ports[0]}"
        now = datetime.now(UTC)
        self._today = _working_day(now.date())
        start = datetime(self._today.year, self._today.month, self._today.day, _START_HOUR, tzinfo=UTC)
        environment = {VARIABLE: f"{start.isoformat()},{options.speed},{now.isoformat()}", "PYTHONUNBUFFERED": "1"}
        self._clock = clock_from_environment(environment)
        self.children = Children(folder / "logs", environment)

    async def run(self) -> Demo:
        catalogue = items(self._options.seed)
        configs = self._write_configs()
        self._say(f"headquarters and master data; a year of trade at {len(SITES)} sites, by each gateway's own writer")
        async with httpx.AsyncClient(timeout=60.0) as client:
            try:
                (owner, link, keys), written, controls = await asyncio.gather(
                    self._headquarters(client, catalogue), self._past(configs), self._hardware(configs)
                )
                rows = sum(written.values())
                self._say(f"the gateways enrol and synchronise {rows} records")
                await self._gateways(owner, configs)
                await self._arrive(owner, written)
                self._say("first forecasts and proposals")
                await self._decide(owner)
                await self._order(owner, catalogue)
                await self._partners(keys, controls)
            except ApiError as error:
                raise DemoError(f"headquarters refused a step of the set-up: {error}") from error
        stations = [
            Address(f"{site.name} (station)", f"http://127.0.0.1:{self._ports[1 + index]}/")
            for index, site in enumerate(SITES)
        ]
        return Demo(
            self._folder,
            self.children,
            link,
            [Address("Headquarters", self._url), *stations],
            rows,
            controls,
            self._clock,
        )

    # ---------------------------------------------------------------- headquarters

    async def _headquarters(
        self, client: httpx.AsyncClient, catalogue: list[DemoItem]
    ) -> tuple[Api, str, dict[str, str]]:
        """Start headquarters with its master data: its API as its owner, the sign-in link, the keys of the partners."""
        cloud = self._folder / "cloud.toml"
        await self.children.call("migrate", "cloud", "--config", str(cloud), "migrate")
        server = await self.children.start("cloud", "cloud", "--config", str(cloud), "serve")
        link, key, _ = await asyncio.gather(
            self._owner(cloud), self._key(cloud), self.children.listens(server, self._ports[0])
        )
        owner = Api(client, self._url, key)
        return owner, link, await self._fill(owner, catalogue)

    async def _owner(self, cloud: Path) -> str:
        verb = ("create-user", _OWNER, "--link")
        said = await self.children.call("create-user", "cloud", "--config", str(cloud), *verb)
        found = re.search(r"/sign-in/\S+", said)
        if found is None:
            raise DemoError(f"evercount-cloud create-user gave no sign-in link: {said}")
        return self._url + found[0]

    async def _key(self, cloud: Path) -> str:
        verb = ("api-key", "demo-setup", "--role", "owner")
        said = await self.children.call("api-key", "cloud", "--config", str(cloud), *verb)
        found = re.search(r"evk_\w+", said)
        if found is None:
            raise DemoError(f"evercount-cloud api-key gave no key: {said}")
        return found[0]

    async def _fill(self, owner: Api, catalogue: list[DemoItem]) -> dict[str, str]:
        """Store the master data; the keys of the partners."""
        for kind, rows in masters(catalogue, self._options.seed, self._today).items():
            await owner.put(kind, rows)
        names = [supplier.id for supplier in SUPPLIERS] + list(CUSTOMERS)
        return {name: await owner.make_key(f"{name} order system", "partner", name) for name in names}

    async def _arrive(self, owner: Api, written: dict[str, int]) -> None:
        """Wait until the history is at headquarters."""
        try:
            async with asyncio.timeout(_READY_S):
                while any(row.arrived < written[row.site_id] for row in await owner.gateways()):
                    self.children.check()
                    await asyncio.sleep(0.3)
        except TimeoutError:
            raise DemoError(f"the history did not arrive within {_READY_S:.0f} s; look into {self._folder}") from None

    async def _decide(self, owner: Api) -> None:
        """Let headquarters decide, as soon as it is not at it already."""
        while not await owner.cycle():
            self.children.check()
            await asyncio.sleep(0.3)

    async def _order(self, owner: Api, catalogue: list[DemoItem]) -> None:
        """Purchase orders that are under way already: their pallets come one by one while somebody watches."""
        step_us = round(_UNDER_WAY_S * self._options.speed * 1_000_000)
        due = self._clock.now()
        busy = sorted(catalogue, key=lambda item: -item.daily)
        for number in range(_UNDER_WAY * len(SITES)):
            site, item = SITES[number % len(SITES)], busy[number]
            due += step_us
            line = {
                "line": 1,
                "item": item.id,
                "quantity": 2 * item.moq,
                "unit_cost": item.price_micro,
                "currency": CURRENCY,
            }
            await owner.open_document(
                {
                    "site": site.id,
                    "type": "expected-receipt",
                    "id": f"PO-{self._today:%y%m%d}-{number + 1:02d}",
                    "partner": item.supplier,
                    "due": due,
                    "lines": [line],
                }
            )

    # ---------------------------------------------------------------- sites

    def _write_configs(self) -> dict[str, Path]:
        (self._folder / "cloud.toml").write_text(
            f'[server]\nport = {self._ports[0]}\npublic_url = "{self._url}"\n\n'
            f'[database]\nurl = "sqlite:///{self._folder}/cloud.db"\n\n[cycle]\nevery_minutes = {_CYCLE_MINUTES}\n'
        )
        configs: dict[str, Path] = {}
        readers = iter(self._ports[1 + len(SITES) :])
        for index, site in enumerate(SITES):
            text = (_SITES_FOLDER / f"{site.id}.toml").read_text()
            station = self._ports[1 + index]
            text = re.sub(r'(\[cloud\]\nurl = )"[^"]*"', rf'\1"{self._url}"', text)
            text = re.sub(r"(\[station\]\nhost = .*\nport = )\d+", rf"\g<1>{station}", text)
            text = re.sub(
                r"(\[\[reader\]\]\nname = .*\nhost = .*\nport = )\d+",
                lambda found: f"{found[1]}{next(readers)}",
                text,
            )
            folder = self._folder / site.id
            folder.mkdir()
            configs[site.id] = folder / "gateway.toml"
            configs[site.id].write_text(text)
        return configs

    async def _past(self, configs: dict[str, Path]) -> dict[str, int]:
        """Write each gateway's year, side by side; the rows written, by site."""

        async def one(site: str) -> tuple[str, int]:
            write = ("demo.past", "--config", str(configs[site]), "--site", site, "--until", self._today.isoformat())
            said = await self.children.call(f"{site}-history", *write, "--seed", str(self._options.seed))
            return site, int(json.loads(said.splitlines()[-1])["rows"])

        return dict(await asyncio.gather(*(one(site) for site in configs)))

    async def _hardware(self, configs: dict[str, Path]) -> dict[str, str]:
        """Start the emulated readers; the control address of each site."""
        started: dict[str, Child] = {}
        for site, config in configs.items():
            simulate = ("gateway", "simulate", "--config", str(config), "--strays", "6")
            started[site] = await self.children.start(f"{site}-doors", *simulate)
        lines = {site: await self.children.line(child, '"control"') for site, child in started.items()}
        return {site: str(json.loads(line)["control"]) for site, line in lines.items()}

    async def _gateways(self, owner: Api, configs: dict[str, Path]) -> None:
        """Enrol the gateways, and start them."""

        async def one(site: str, port: int) -> None:
            config = str(configs[site])
            enrol = ("enrol", "--cloud", self._url, "--code", await owner.enrolment_code(site), "--config", config)
            await self.children.call(f"{site}-enrol", "gateway", *enrol)
            child = await self.children.start(f"{site}-gateway", "gateway", "run", "--config", config)
            await self.children.listens(child, port)

        await asyncio.gather(*(one(site, port) for site, port in zip(configs, self._ports[1:], strict=False)))

    async def _partners(self, keys: dict[str, str], controls: dict[str, str]) -> None:
        settings = Settings(
            url=self._url,
            keys=keys,
            sites=tuple(SiteSettings(site, control) for site, control in controls.items()),
            seed=self._options.seed,
            until=self._today.isoformat(),
            pace=self._options.speed,
        )
        file = self._folder / "partners.json"
        file.touch(mode=0o600)
        file.write_bytes(msgspec.json.encode(settings))
        await self.children.start("partners", "demo.partners", "--settings", str(file))


def _working_day(day: date) -> date:
    """The day, or the Friday before it: at weekends a warehouse has nothing to show."""
    return day - timedelta(days=max(0, day.weekday() - 4))
