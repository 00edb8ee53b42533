"""The composition root of the gateway: builds every part from the configuration; nothing else does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import httpx
import structlog
import uvicorn
from litestar import Litestar

from gateway.config import Config
from gateway.devices.driver import Driver
from gateway.devices.registry import open_driver
from gateway.errors import NotEnrolledError
from gateway.health.status import Health
from gateway.ledger.checkpoint import take
from gateway.ledger.evidence import EvidenceStore
from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.pipeline import Pipeline
from gateway.station import pages
from gateway.station.view import Link, Site, Station
from gateway.supervisor import Supervisor
from gateway.sync.downlink import DownlinkClient, read_kept
from gateway.sync.enrolment import apply_opening
from gateway.sync.http import Cloud
from gateway.sync.identity import EnrolmentRecord, load_enrolment, load_or_make_identity
from gateway.sync.uplink import Uplink
from gateway.transactions.catalogue import Catalogue
from runtime import Runtime

LEDGER = "ledger.db"
#: Seconds between two checkpoints: a day.
CHECKPOINT_S = 86_400.0


def ledger_path(config: Config) -> Path:
    """Where the ledger of this configuration is."""
    return Path(config.ledger.folder) / LEDGER


def kept_catalogue(ledger: Path) -> Catalogue:
    """What headquarters told the site of this ledger last; an empty one where it never did. Raises GatewayError."""
    kept = read_kept(ledger)
    return Catalogue() if kept is None else Catalogue.from_downlink(kept.downlink)


class Gateway:
    """All parts of one gateway, built and wired; `run` keeps them running until it is cancelled.

    `transport` stands in for the network to headquarters where a test runs both in one process.
    """

    def __init__(self, config: Config, runtime: Runtime, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.config = config
        self.runtime = runtime
        self._transport = transport
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger("gateway")

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator[Supervisor]:
        """Open ledger and identity and wire the parts; closes them in the end. Raises GatewayError."""
        config, runtime = self.config, self.runtime
        folder = Path(config.ledger.folder)
        self.identity = load_or_make_identity(folder, runtime)
        self.enrolment = _enrolment(folder, config)
        async with contextlib.AsyncExitStack() as stack:
            self.writer = await LedgerWriter.open(ledger_path(config), runtime)
            stack.push_async_callback(self.writer.close)
            self.reader = await LedgerReader.open(ledger_path(config))
            stack.push_async_callback(self.reader.close)
            self.drivers: list[Driver] = [open_driver(reader, runtime) for reader in config.reader]
            self.evidence = EvidenceStore(folder / "evidence")
            self.pipeline = Pipeline(config.door, self.drivers, self.writer, self.evidence, runtime)
            await self.pipeline.learn()
            self.health = Health(runtime, self.writer, self.drivers, folder)
            self.supervisor = Supervisor(runtime)
            self.uplink: Uplink | None = None
            self.downlink: DownlinkClient | None = None
            if self.enrolment is not None:
                await stack.enter_async_context(self._linked(self.enrolment))
            self.supervisor.add("pipeline", self.pipeline.run)
            self.supervisor.add("checkpoints", self._checkpoints)
            for driver in self.drivers:
                self.supervisor.add(f"reader {driver.name}", lambda driver=driver: driver.run(self.pipeline.deliver))
            yield self.supervisor

    @contextlib.asynccontextmanager
    async def _linked(self, enrolment: EnrolmentRecord) -> AsyncGenerator[None]:
        """The link to headquarters; the site's opening stock is applied before any reader is connected."""
        cloud = Cloud(enrolment.cloud, self.identity, self.runtime, self._transport)
        try:
            await apply_opening(cloud, enrolment, self.writer, self.runtime)
            site = enrolment.enrolled.site
            self.uplink = Uplink(cloud, site, self.writer, self.reader, self.runtime, self.health.status)
            self.downlink = DownlinkClient(cloud, site, self.writer, self.runtime, self._told)
            self.downlink.load()
            self.supervisor.add("uplink", self.uplink.run)
            self.supervisor.add("downlink", self.downlink.run)
            yield
        finally:
            await cloud.close()

    async def _checkpoints(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_S)
            await take(self.writer, self.runtime.now())

    def _told(self, catalogue: Catalogue) -> None:
        self.pipeline.catalogue = catalogue

    def station(self) -> Litestar:
        """The station's web application."""
        told = self.enrolment.enrolled if self.enrolment else None
        site = Site(told.name if told else "Not enrolled", self.identity.gateway, told.zone if told else "UTC")
        return pages.build(
            Station(site, self.reader, self.evidence, self.pipeline.rule, self.health.status, self._link, self._metrics)
        )

    def _link(self) -> Link:
        if self.uplink is None:
            return Link("works alone, without headquarters", True, 0)
        online = self.uplink.state in ("online", "catching-up")
        text = f"headquarters {self.uplink.state}" + (f": {self.uplink.reason}" if self.uplink.reason else "")
        return Link(text, online, self.uplink.behind)

    def _metrics(self) -> bytes:
        counters = {
            "crossings": self.pipeline.crossings,
            "movements_refused": self.pipeline.refused,
            "ledger_blocked": int(self.pipeline.blocked),
            "reads_of_unknown_points": self.pipeline.rule.unknown_points,
            "task_failures": sum(task.failures for task in self.supervisor.states),
        }
        return self.health.metrics(lambda: self._link().waiting, counters)

    async def run(self) -> None:
        """Run the whole gateway until it is cancelled."""
        async with self.open() as supervisor:
            server = _Server(
                uvicorn.Config(
                    self.station(),
                    host=self.config.station.host,
                    port=self.config.station.port,
                    log_config=None,
                    access_log=False,
                    lifespan="off",
                )
            )
            supervisor.add("station", server.serve)
            self._log.info("gateway runs", gateway=self.identity.gateway, ledger=str(self.writer.path))
            serving = asyncio.create_task(supervisor.run())
            try:
                await asyncio.shield(serving)
            finally:
                server.should_exit = True
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals belong to the program, not to one of its parts."""
        yield


def _enrolment(folder: Path, config: Config) -> EnrolmentRecord | None:
    """This gateway's enrolment; None where it works alone. Raises GatewayError where it should have one and has not."""
    try:
        return load_enrolment(folder)
    except NotEnrolledError:
        if config.cloud is not None:
            raise
        return None
