"""The composition root of the gateway: builds every part from the configuration; nothing else does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path

import httpx
import msgspec
import structlog
import uvicorn
from litestar import Litestar

from gateway.clock import SiteClock
from gateway.config import Config
from gateway.devices.driver import Driver
from gateway.devices.registry import open_driver
from gateway.errors import NotEnrolledError
from gateway.health import timekeeping
from gateway.health.space import DiskGuard
from gateway.health.status import Health
from gateway.health.watchdog import gateway_watchdog
from gateway.ledger.evidence import EvidenceStore
from gateway.ledger.recheck import LedgerCheck
from gateway.ledger.retention import keep
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
from gateway.sync.opening import reconcile
from gateway.sync.salvage import Inbox
from gateway.sync.standing import Standing
from gateway.sync.uplink import Uplink
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import AnyIntent
from runtime import Runtime
from runtime.notify import AUTHORITY, Notify, Watchdog, credential
from vocabulary.wire import DiskLevel, Head

LEDGER = "ledger.db"


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
        self.runtime = self._system = runtime
        self._transport = transport
        #: what was decided and could not be recorded before a damaged ledger was closed
        self._carried: tuple[AnyIntent, ...] = ()
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger("gateway")
        #: only while it runs as a service's main program
        self.watchdog: Watchdog | None = None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator[Supervisor]:
        """Open ledger and identity and wire the parts; closes them in the end. Raises GatewayError."""
        config = self.config
        folder = Path(config.ledger.folder)
        known = timekeeping.read_kept(folder)
        clock = SiteClock(self._system, always=config.clock.trusted == "always", kept=known.clock if known else None)
        runtime = self.runtime = clock
        self.identity = load_or_make_identity(folder, runtime)
        self.standing = Standing(folder)
        self.enrolment = _enrolment(folder, config)
        async with contextlib.AsyncExitStack() as stack:
            self.disk = DiskGuard(folder, runtime)
            self.writer = await LedgerWriter.open(
                ledger_path(config), runtime, make_room=self.disk.make_room, held=self._held
            )
            stack.push_async_callback(self.writer.close)
            self.reader = await LedgerReader.open(ledger_path(config))
            stack.push_async_callback(self.reader.close)
            self.timekeeper = timekeeping.Timekeeper(clock, self.writer, folder, known)
            await self.timekeeper.start(self.reader)
            self.drivers: list[Driver] = [open_driver(reader, clock.steady) for reader in config.reader]
            self.evidence = EvidenceStore(folder / "evidence")
            self.pipeline = Pipeline(
                config.door, self.drivers, self.writer, self.evidence, runtime, lambda: clock.stepped, self._carried
            )
            self._carried = ()
            self.disk.changed = self._disk_changed
            self.check = LedgerCheck(self.writer, runtime, self._doubt)
            await self.pipeline.learn()
            trusted = lambda: clock.trusted  # noqa: E731
            self.health = Health(runtime, self.writer, self.drivers, folder, trusted, self.disk, self.check)
            self.supervisor = Supervisor(runtime)
            self.uplink: Uplink | None = None
            self.downlink: DownlinkClient | None = None
            if self.enrolment is not None:
                await stack.enter_async_context(self._linked(self.enrolment))
            self.supervisor.add("clock", self.timekeeper.run)
            self.supervisor.add("pipeline", self.pipeline.run)
            self.supervisor.add("checkpoints", lambda: keep(self.writer, runtime.now, trusted), vital=False)
            self.supervisor.add("health", self.health.keep_looking)
            self.supervisor.add("disk", lambda: self.disk.run(self.writer))
            self.supervisor.add("ledger check", self.check.run, vital=False)
            for driver in self.drivers:
                self.supervisor.add(f"reader {driver.name}", lambda driver=driver: self._reading(driver))
            yield self.supervisor

    @contextlib.asynccontextmanager
    async def _linked(self, enrolment: EnrolmentRecord) -> AsyncGenerator[None]:
        """The link to headquarters; the site's opening stock is applied before any reader is connected."""
        cloud = Cloud(enrolment.cloud, self.identity, self.runtime, self._transport, credential(AUTHORITY))
        try:
            await apply_opening(cloud, enrolment, self.writer, self.runtime)
            site = enrolment.enrolled.site
            self.uplink = Uplink(
                cloud,
                site,
                self.writer,
                self.reader,
                self.runtime,
                self.health.status,
                served=self._served,
                reconcile=lambda why: self._take_over(cloud, why),
            )
            self.downlink = DownlinkClient(cloud, site, self.writer, self.runtime, self._told, self._served)
            self.downlink.load()
            self.supervisor.add("uplink", self.uplink.run)
            self.supervisor.add("downlink", self.downlink.run)
            salvage = Inbox(self.writer.path.parent, site, self.writer, self.runtime, self.pipeline.learn)
            self.supervisor.add("salvage", salvage.run, vital=False)
            yield
        finally:
            await cloud.close()

    async def _take_over(self, cloud: Cloud, why: str) -> None:
        """Bring the ledger to what headquarters holds, and the doors with it."""
        await reconcile(cloud, self.writer, self.runtime, why)
        await self.pipeline.learn()

    async def _held(self, epoch: int) -> int | None:
        """The last row that headquarters holds of `epoch`; None where it does not say. Raises GatewayError."""
        if self.enrolment is None:
            return 0
        cloud = Cloud(self.enrolment.cloud, self.identity, self.runtime, self._transport, credential(AUTHORITY))
        try:
            answer = await cloud.ask("GET", f"/v1/gateways/{cloud.gateway}/head", query={"epoch": str(epoch), "seq": 0})
            return msgspec.json.decode(answer.body, type=Head).seq if answer.status == 200 else None
        except msgspec.DecodeError:
            return None
        finally:
            await cloud.close()

    def _disk_changed(self, level: DiskLevel) -> None:
        self.evidence.stopped = level in ("scarce", "full")
        self.pipeline.full = level == "full"

    def _doubt(self) -> str:
        """Why the uplink sends no row: the whole ledger is checked then."""
        return self.uplink.reason if self.uplink is not None and self.uplink.state == "damaged" else ""

    async def _reading(self, driver: Driver) -> None:
        """Run a reader while this gateway may record."""
        await self.standing.while_in_service(lambda: driver.run(self.pipeline.deliver))

    def _served(self, served: bool) -> None:
        self.standing.told(not served)

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
        if self.standing.revoked:
            return Link(
                "another gateway took this one's place: nothing is recorded here any more", False, self.uplink.behind
            )
        online = self.uplink.state in ("online", "catching-up")
        text = f"headquarters {self.uplink.state}" + (f": {self.uplink.reason}" if self.uplink.reason else "")
        return Link(text, online, self.uplink.behind)

    def _metrics(self) -> bytes:
        counters = {
            "crossings": self.pipeline.crossings,
            "movements_refused": self.pipeline.refused,
            "ledger_blocked": int(self.pipeline.blocked),
            "devices_held_back": self.pipeline.held_back,
            "decided_waiting": len(self.pipeline.decided),
            "evidence_refused": self.evidence.refused,
            "reads_of_unknown_points": self.pipeline.rule.unknown_points,
            "task_failures": sum(task.failures for task in self.supervisor.states),
            "stuck": len(self.watchdog.stuck) if self.watchdog else 0,
        }
        return self.health.metrics(lambda: self._link().waiting, counters)

    async def run(self) -> None:
        """Run the whole gateway until it is cancelled; tells the service manager how it goes. Raises GatewayError."""
        notify = Notify.from_environment()
        while await self._serve(notify):
            self._log.error("the ledger is damaged: it is closed, recovered and opened again")

    async def _serve(self, notify: Notify) -> bool:
        """Run until cancelled, or True as soon as the ledger must be recovered."""
        async with contextlib.AsyncExitStack() as stack:
            async with notify.starting("opening the ledger"):
                supervisor = await stack.enter_async_context(self.open())
            watchdog = self.watchdog = gateway_watchdog(notify, supervisor, self.writer, self._waiting, self._summary)
            address = self.config.station.host, self.config.station.port
            # the tasks begin in their order, the station last: when it has tried to listen, readers may connect
            server = _StationServer(self.station, *address, lambda: notify.ready(self._summary()))
            supervisor.add("watchdog", watchdog.run)
            supervisor.add("station", server.run, vital=False)
            self._log.info("gateway runs", gateway=self.identity.gateway, ledger=str(self.writer.path))
            serving = asyncio.create_task(supervisor.run())
            damaged = asyncio.create_task(self.writer.damaged.wait())
            try:
                await asyncio.wait({serving, damaged}, return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    serving.result()
                return damaged.done()
            finally:
                if not damaged.done():
                    notify.stopping()
                damaged.cancel()
                server.stop()
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)
                self._carried = self.pipeline.decided

    def _waiting(self) -> object | None:
        """The movement that is to be recorded next; None while there is none, or the disk takes nothing."""
        return None if self.pipeline.blocked or self.writer.fault else next(iter(self.pipeline.decided), None)

    def _summary(self) -> str:
        """One line on how it goes, for the service manager's status."""
        devices = self.health.devices()
        reading = sum(device.state == "reading" for device in devices)
        return f"{self.writer.head.seq} rows, {reading} of {len(devices)} readers read, {self._link().text}"


class _StationServer:
    """Serves the station page. A port that is taken ends the page, not the gateway."""

    def __init__(self, app: Callable[[], Litestar], host: str, port: int, tried: Callable[[], None]) -> None:
        """`tried` is called as soon as the page listens, or cannot."""
        self._app, self._host, self._port, self._tried = app, host, port, tried
        self._server: _Server | None = None

    async def run(self) -> None:
        """Serve until cancelled or stopped. Raises OSError."""
        options = uvicorn.Config(
            self._app(), host=self._host, port=self._port, log_config=None, access_log=False, lifespan="off"
        )
        self._server = _Server(options, self._tried)
        try:
            await self._server.serve()
        except SystemExit:  # how uvicorn tells that it cannot listen
            self._tried()
            raise OSError(f"the station page cannot listen on {self._host}:{self._port}: choose another port") from None
        finally:
            self._server.close()

    def stop(self) -> None:
        """Let open requests end."""
        if self._server is not None:
            self._server.should_exit = True


class _Server(uvicorn.Server):
    def __init__(self, options: uvicorn.Config, tried: Callable[[], None]) -> None:
        super().__init__(options)
        self._tried = tried

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals belong to the program, not to one of its parts."""
        yield

    def close(self) -> None:
        """Give the port free, also where serving was cancelled: a recovered gateway listens there again."""
        for listening in getattr(self, "servers", ()):
            listening.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as ever, and tell."""
        await super().startup(sockets)
        self._tried()


def _enrolment(folder: Path, config: Config) -> EnrolmentRecord | None:
    """This gateway's enrolment; None where it works alone. Raises GatewayError where it should have one and has not."""
    try:
        return load_enrolment(folder)
    except NotEnrolledError:
        if config.cloud is not None:
            raise
        return None
