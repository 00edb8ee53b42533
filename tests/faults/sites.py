"""The programs of a kill campaign as an outside observer sees them: headquarters and two sites, and what each one told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import traffic
from observer import Row, movements, passages, query
from processes import BIN, CLOUD, GATEWAY, TRAFFIC, Program, Zygote, ask, free_ports, until

from cloud.access import accounts
from cloud.store.database import open_engine, writing
from cloud.store.migrate import migrate
from gateway.simulation.epc_encode import check_digit, sgtin_96, sscc_96
from runtime import SystemRuntime
from runtime.clock import clock_from_environment

PREFIX = str(traffic.PREFIX)
#: Seconds that a program has to be there again after a start, on a busy machine.
START_S = 60.0

CONFIG = """
[ledger]
folder = "{folder}"
[station]
port = {station}
"""
PORTAL = """
[[reader]]
name = "portal-{door}"
host = "127.0.0.1"
port = {port}
intent = "portal"
antennas = [{{ port = 1, zone = "outside" }}, {{ port = 2, zone = "inside" }}]
[[door]]
name = "dock-{door}"
place = "dock-{door}"
outside = ["portal-{door}/1"]
inside = ["portal-{door}/2"]
"""


def paced(factor: float) -> dict[str, str]:
    """The environment in which programs' clocks run `factor` times as fast, from now on."""
    moment = datetime.fromtimestamp(time.time_ns() // 1_000 / 1_000_000, UTC).isoformat()
    return {"EVERCOUNT_CLOCK": f"{moment},{factor},{moment}"}


async def owner_key(folder: Path, environment: Mapping[str, str]) -> str:
    """Make headquarters' database in `folder`, and a key of the API for the one who looks at it."""
    engine, runtime = (
        open_engine(f"sqlite:///{folder / 'cloud.db'}"),
        SystemRuntime(clock_from_environment(environment)),
    )
    try:
        await migrate(engine)
        async with writing(engine) as conn:
            return await accounts.make_key(conn, runtime, "observer", accounts.role_of("owner"), "", "", "campaign")
    finally:
        await engine.dispose()


async def fill_in(cloud: Headquarters, names: Sequence[str]) -> dict[str, str]:
    """Enter sites, docks, the item and its case, as an operator does; an enrolment code by site."""
    await cloud.ask("PUT", "/sites", [{"id": name, "zone": "UTC"} for name in names])
    await cloud.ask("PUT", "/items", [{"id": "tea", "name": "tea"}])
    await cloud.ask("PUT", "/packaging", [{"gtin": traffic.CASE, "item": "tea", "quantity": 6}])
    for name in names:
        rows = [{"site_id": name, "id": f"dock-{door}", "kind": "dock"} for door in (1, 2)]
        await cloud.ask("PUT", "/places", rows)
    return {name: (await cloud.ask("POST", f"/sites/{name}/enrolment-codes", {}))["code"] for name in names}


class Headquarters:
    """`evercount-cloud serve`, and the one who looks at its public API."""

    def __init__(self, folder: Path, environment: Mapping[str, str], key: str, zygote: Zygote | None = None) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = folder / "cloud.db"
        self.program = Program("cloud", folder, environment, CLOUD, zygote)
        #: movement lines that the API told: (site, position, line) -> the row
        self.told: dict[tuple[str, int, int], dict[str, Any]] = {}
        self._config = folder / "cloud.toml"
        self._config.write_text(f'[database]\nurl = "sqlite:///{self.database}"\n[cycle]\nevery_minutes = 0\n')
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self.client = httpx.AsyncClient(base_url=f"{self.url}/api/v1", headers=headers, timeout=10.0, trust_env=False)

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        await self.program.start("--config", self._config, "serve", "--port", self.port)
        async with asyncio.timeout(START_S):
            while True:
                try:
                    await self.ask("GET", "/sites")
                    return
                except httpx.TransportError:
                    assert self.program.running, self.program.last_words()
                    await asyncio.sleep(0.02)

    async def ask(self, method: str, path: str, content: object = None) -> Any:
        """One request. Raises httpx.TransportError where nobody answers."""
        body = None if content is None else msgspec.json.encode(content)
        answer = await self.client.request(method, path, content=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def observe(self, sites: tuple[str, ...]) -> None:
        """Write down what the API tells of movements, again and again."""
        while True:
            for site in sites:
                try:
                    page = await self.ask("GET", f"/movements?site={site}&limit=200")
                except httpx.TransportError:
                    continue
                for row in page["items"]:
                    self.told[row["site_id"], row["position"], row["line"]] = row
            await asyncio.sleep(0.3)

    def rows(self, site: str) -> int:
        """Rows that it holds of a site's ledger."""
        return query(self.database, "SELECT count(*) FROM ledger WHERE site_id = ?", site)[0][0]

    async def verify(self) -> tuple[int, str]:
        """`evercount-cloud verify`."""
        return await ask(BIN / "evercount-cloud", "--config", self._config, "verify", "--json")


class Warehouse:
    """What every kind of site has: a configuration, a ledger, a station page."""

    def __init__(
        self,
        name: str,
        folder: Path,
        url: str | None,
        environment: Mapping[str, str],
        tables: str = "",
        disk: Path | None = None,
    ) -> None:
        self.name = name
        self.environment = environment
        self.config = folder / f"{name}.toml"
        where = disk or folder / name
        self.ledger = where / "ledger.db"
        (self._station,) = free_ports(1)
        link = f'[cloud]\nurl = "{url}"\n' if url else ""
        self.config.write_text(CONFIG.format(folder=where, station=self._station) + link + tables)
        self._url = url

    async def enrol(self, code: str) -> None:
        """`evercount-gateway enrol`."""
        assert self._url is not None
        command = (BIN / "evercount-gateway", "enrol", "--config", self.config, "--cloud", self._url, "--code", code)
        status, text = await ask(*command, environment=self.environment)
        assert status == 0, text

    async def verify(self) -> tuple[int, str]:
        """`evercount-gateway verify-ledger`."""
        return await ask(BIN / "evercount-gateway", "verify-ledger", self.ledger, "--json")

    def head(self) -> int:
        """The last row of the ledger."""
        if not self.ledger.exists():
            return 0
        return query(self.ledger, "SELECT coalesce(max(seq), 0) FROM ledger")[0][0]

    async def metrics(self) -> dict[str, float]:
        """The figures that the gateway shows of itself. Raises httpx.HTTPError where it does not answer."""
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            answer = await client.get(f"http://127.0.0.1:{self._station}/metrics")
        pairs = (line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}


class DenseSite(Warehouse):
    """A site without devices whose crossings come from `traffic.py`, and all that it told."""

    def __init__(
        self,
        name: str,
        folder: Path,
        url: str | None,
        environment: Mapping[str, str],
        base: int,
        zygote: Zygote | None = None,
        workers: int = traffic.WORKERS,
        disk: Path | None = None,
    ) -> None:
        super().__init__(name, folder, url, environment, disk=disk)
        self.base = base
        self.workers = workers
        self.program = Program(f"traffic-{name}", folder, environment, TRAFFIC, zygote, self._heard)
        self.last_submitted = -1
        #: crossings that were submitted and whose receipt nobody has
        self.in_flight: dict[int, None] = {}
        #: crossing -> its receipt (first and last seq, hash), None where it was recorded in an earlier life
        self.recorded: dict[int, tuple[int, int, str] | None] = {}
        #: microseconds of the program's clock from submitting a crossing to its receipt
        self.latencies: list[int] = []
        #: what the ledger took not, in words
        self.refused: list[str] = []
        #: seq -> hash that headquarters acknowledged
        self.acknowledged: dict[int, str] = {}
        self.pushes_open = self.receipts = 0
        self.last_recorded = self.last_acknowledged = 0
        #: when the last receipt came, seconds of this machine
        self.last_receipt_at = 0.0
        self.push_began = asyncio.Event()

    @property
    def behind(self) -> int:
        """Rows that somebody has a receipt of and headquarters has not acknowledged."""
        return self.last_recorded - self.last_acknowledged

    async def pushed_again(self, timeout_s: float) -> None:
        """Wait until headquarters acknowledged something more, and does not hold all."""
        before = self.last_acknowledged
        await until(lambda: self.last_acknowledged > before and self.behind > 0, timeout_s)

    async def rows_behind(self, timeout_s: float) -> None:
        """Wait until there are rows that headquarters has not acknowledged."""
        await until(lambda: self.behind > 0, timeout_s)

    async def start(self, last: int | None = None, environment: Mapping[str, str] | None = None) -> None:
        """Start from the first crossing whose receipt nobody has, and some before it once more."""
        self.pushes_open = self.receipts = 0
        first = max(0, min(self.in_flight, default=self.last_submitted + 1) - 5)
        words = [self.workers, self.base, first] + ([] if last is None else [last])
        await self.program.start(self.config, *words, environment=environment)

    def faults(self, rows: list[Row], whole: bool = True) -> list[str]:
        """What is wrong between its ledger and what it told; `whole`: it had the time to record all that was submitted."""
        return self._receipts(rows) + self._passages(rows, whole)

    def _receipts(self, rows: list[Row]) -> list[str]:
        """Every row that somebody has a receipt of, or that headquarters acknowledged, is there unchanged."""
        faults: list[str] = []
        for number, receipt in self.recorded.items():
            if receipt is not None:
                first, last, digest = receipt
                if sha256(b"\n".join(row.body for row in rows[first - 1 : last])).hexdigest() != digest:
                    faults.append(f"crossing {number}: its rows {first} to {last} are not those of its receipt")
        for seq, row_hash in self.acknowledged.items():
            if seq > len(rows) or (seq and rows[seq - 1].hash.hex() != row_hash):
                faults.append(f"row {seq} was acknowledged by headquarters with another hash")
        return faults

    def _passages(self, rows: list[Row], whole: bool) -> list[str]:
        """Every crossing that was ever submitted stands exactly once, whole; one nobody has a receipt of may stand or not."""
        found: dict[tuple[str, int], int] = {}
        for passage in passages(movements(rows)):
            key = passage.unit, passage.first
            found[key] = found.get(key, 0) + 1
        faults: list[str] = []
        for number in range(self.last_submitted + 1):
            wanted = traffic.crossing(number, self.base)
            assert wanted.origin.interval is not None
            times = [found.pop((seen.unit, wanted.origin.interval[0]), 0) for seen in wanted.units]
            absent = not whole and number not in self.recorded and not any(times)
            if times != [1] * len(times) and not absent:
                faults.append(f"crossing {number}: its units stand {times} times")
        return faults + [f"{unit} was recorded and never submitted" for unit, _ in found]

    def _heard(self, line: str) -> None:
        match line.split(maxsplit=2):
            case ["submitted", number]:
                if int(number) not in self.recorded:
                    self.in_flight.setdefault(int(number))
                self.last_submitted = max(self.last_submitted, int(number))
            case ["recorded", number, receipt]:
                first, last, digest, latency = receipt.split()
                self.latencies.append(int(latency))
                self.receipts += 1
                self.last_receipt_at = time.monotonic()
                self.last_recorded = max(self.last_recorded, int(last))
                fresh = int(first) <= int(last)
                self.recorded.setdefault(int(number), (int(first), int(last), digest) if fresh else None)
                self.in_flight.pop(int(number), None)
            case ["refused", _, text]:
                self.refused.append(text)
            case ["pushing"]:
                self.pushes_open += 1
                self.push_began.set()
            case ["unanswered"]:
                self.pushes_open -= 1
            case ["acknowledged", seq, row_hash]:
                self.pushes_open -= 1
                self.last_acknowledged = max(self.last_acknowledged, int(seq))
                self.acknowledged[int(seq)] = row_hash
            case _:
                raise AssertionError(f"traffic said: {line}")


class FullSite(Warehouse):
    """A site with the real `evercount-gateway run`, and emulated readers in a process of their own."""

    def __init__(
        self,
        name: str,
        folder: Path,
        url: str,
        environment: Mapping[str, str],
        random: Random,
        zygote: Zygote | None = None,
    ) -> None:
        ports = free_ports(2)
        tables = "".join(PORTAL.format(door=door, port=port) for door, port in enumerate(ports, 1))
        super().__init__(name, folder, url, environment, tables)
        self.program = Program("gateway", folder, environment, GATEWAY, zygote)
        self.hardware = Program("hardware", folder, environment, GATEWAY, heard=self._heard)
        self._control = 0
        self._random = random
        self._pallets = 0
        #: reader time at which the middle of each pallet is in its door, microseconds UTC
        self.crossings: list[int] = []

    async def emulate(self) -> None:
        """Start the readers."""
        await self.hardware.start("simulate", "--config", self.config, "--strays", "3")
        await until(lambda: self._control > 0, START_S)

    async def start(self) -> None:
        """Start the gateway, and wait until its readers read."""
        await self.program.start("run", "--config", self.config)
        async with asyncio.timeout(START_S):
            while not all(reader["connected"] for reader in (await self.control({"readers": {}}))["readers"]):
                assert self.program.running, self.program.last_words()
                await asyncio.sleep(0.1)

    async def send(self) -> int:
        """Send a pallet of new goods through a door; when its middle is in the door, microseconds UTC."""
        self._pallets += 1
        digits = f"2{PREFIX}{self._pallets:09d}"
        cases = [sgtin_96(traffic.CASE, 10**9 + self._pallets * 100 + case, len(PREFIX)) for case in range(6)]
        pallet = {
            "door": f"dock-{self._pallets % 2 + 1}",
            "direction": self._random.choice(("in", "out")),
            "cases": cases,
            "sscc": sscc_96(digits + check_digit(digits), len(PREFIX)),
        }
        at = (await self.control({"send": pallet}))["crossing_at"]
        self.crossings.append(at)
        return at

    async def truth(self) -> list[dict[str, Any]]:
        """The true crossings."""
        return (await self.control({"crossings": {}}))["crossings"]

    async def control(self, request: object) -> Any:
        """One request to the emulated hardware."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._control, limit=1 << 24)
        try:
            writer.write(msgspec.json.encode(request) + b"\n")
            answer = msgspec.json.decode(await reader.readline())
        finally:
            writer.close()
            await writer.wait_closed()
        assert answer["ok"], answer
        return answer

    def _heard(self, line: str) -> None:
        words = msgspec.json.decode(line)
        if "control" in words:
            self._control = int(words["control"].rpartition(":")[2])
