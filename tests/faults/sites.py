"""The programs of a kill campaign as an outside observer sees them: headquarters and two sites, and what each one told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import traffic
from observer import query
from processes import BIN, Program, ask, free_ports, until

from gateway.simulation.epc_encode import check_digit, sgtin_96, sscc_96

PREFIX = str(traffic.PREFIX)
#: Seconds that a program has to be there again after a start, on a busy machine.
START_S = 60.0

CONFIG = """
[ledger]
folder = "{folder}"
[cloud]
url = "{url}"
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


class Headquarters:
    """`evercount-cloud serve`, and the one who looks at its public API."""

    def __init__(self, folder: Path, environment: Mapping[str, str], key: str) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = folder / "cloud.db"
        self.program = Program("cloud", folder, environment)
        #: movement lines that the API told: (site, position, line) -> the row
        self.told: dict[tuple[str, int, int], dict[str, Any]] = {}
        self._config = folder / "cloud.toml"
        self._config.write_text(f'[database]\nurl = "sqlite:///{self.database}"\n[cycle]\nevery_minutes = 0\n')
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self.client = httpx.AsyncClient(base_url=f"{self.url}/api/v1", headers=headers, timeout=10.0, trust_env=False)

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        await self.program.start(BIN / "evercount-cloud", "--config", self._config, "serve", "--port", str(self.port))
        async with asyncio.timeout(START_S):
            while True:
                try:
                    await self.ask("GET", "/sites")
                    return
                except httpx.TransportError:
                    assert self.program.running, self.program.last_words()
                    await asyncio.sleep(0.05)

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
    """What both kinds of site have: a folder, a configuration, a ledger."""

    def __init__(
        self, name: str, folder: Path, cloud: Headquarters, environment: Mapping[str, str], tables: str
    ) -> None:
        self.name = name
        self.environment = environment
        self.config = folder / f"{name}.toml"
        self.ledger = folder / name / "ledger.db"
        (station,) = free_ports(1)
        self.config.write_text(CONFIG.format(folder=folder / name, url=cloud.url, station=station) + tables)
        self._url = cloud.url

    async def enrol(self, code: str) -> None:
        """`evercount-gateway enrol`."""
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


class DenseSite(Warehouse):
    """A site without devices whose crossings come from `traffic.py`, and all that it told."""

    def __init__(self, name: str, folder: Path, cloud: Headquarters, environment: Mapping[str, str], base: int) -> None:
        super().__init__(name, folder, cloud, environment, "")
        self.base = base
        self.program = Program("traffic", folder, environment, self._heard)
        self.submitted: dict[int, None] = {}
        #: crossing -> its receipt (first and last seq, hash), None where it was recorded in an earlier life
        self.recorded: dict[int, tuple[int, int, str] | None] = {}
        #: seq -> hash that headquarters acknowledged
        self.acknowledged: dict[int, str] = {}
        self.pushes_open = self.receipts = 0
        self.last_recorded = 0
        self.push_began = asyncio.Event()

    @property
    def in_flight(self) -> list[int]:
        """Crossings that were submitted and whose receipt nobody has."""
        return [number for number in self.submitted if number not in self.recorded]

    @property
    def behind(self) -> int:
        """Rows that somebody has a receipt of and headquarters has not acknowledged."""
        return self.last_recorded - max(self.acknowledged, default=0)

    async def start(self, last: int | None = None) -> None:
        """Start from the first crossing whose receipt nobody has, and some before it once more."""
        self.pushes_open = self.receipts = 0
        first = max(0, min(self.in_flight, default=0) - 5)
        words = [str(self.base), str(first)] + ([] if last is None else [str(last)])
        await self.program.start(sys.executable, Path(traffic.__file__), self.config, *words)

    def _heard(self, line: str) -> None:
        match line.split():
            case ["submitted", number]:
                self.submitted[int(number)] = None
            case ["recorded", number, first, last, digest]:
                self.receipts += 1
                self.last_recorded = max(self.last_recorded, int(last))
                fresh = int(first) <= int(last)
                self.recorded.setdefault(int(number), (int(first), int(last), digest) if fresh else None)
            case ["pushing"]:
                self.pushes_open += 1
                self.push_began.set()
            case ["unanswered"]:
                self.pushes_open -= 1
            case ["acknowledged", seq, row_hash]:
                self.pushes_open -= 1
                self.acknowledged[int(seq)] = row_hash
            case _:
                raise AssertionError(f"traffic said: {line}")


class FullSite(Warehouse):
    """A site with the real `evercount-gateway run`, and emulated readers in a process of their own."""

    def __init__(
        self, name: str, folder: Path, cloud: Headquarters, environment: Mapping[str, str], random: Random
    ) -> None:
        ports = free_ports(2)
        tables = "".join(PORTAL.format(door=door, port=port) for door, port in enumerate(ports, 1))
        super().__init__(name, folder, cloud, environment, tables)
        self.program = Program("gateway", folder, environment)
        self.hardware = Program("hardware", folder, environment, self._heard)
        self._control = 0
        self._random = random
        self._pallets = 0
        #: reader time at which the middle of each pallet is in its door, microseconds UTC
        self.crossings: list[int] = []

    async def emulate(self) -> None:
        """Start the readers."""
        await self.hardware.start(BIN / "evercount-gateway", "simulate", "--config", self.config, "--strays", "3")
        await until(lambda: self._control > 0, START_S)

    async def start(self) -> None:
        """Start the gateway, and wait until its readers read."""
        await self.program.start(BIN / "evercount-gateway", "run", "--config", self.config)
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
