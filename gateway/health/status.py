"""How the gateway does: the small status that rides on each request, and the same as figures for Prometheus."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from gateway.devices.driver import Driver
from gateway.errors import LedgerUnavailableError
from gateway.health.space import LEVELS, DiskGuard
from gateway.ledger.recheck import LedgerCheck
from gateway.ledger.writer import LedgerWriter
from runtime import Runtime
from vocabulary.wire import DeviceStatus, Status

VERSION = "0.1.0"
#: Random bytes that name a process: two processes of one gateway must not meet by chance.
INSTANCE_BYTES = 8
#: Seconds between two looks into the ledger's content, short against the 30 s between two heartbeats.
LOOK_S = 10.0


class Health:
    """Looks at the parts when it is asked; keeps only what must be fetched from the ledger's thread."""

    def __init__(
        self,
        runtime: Runtime,
        writer: LedgerWriter,
        drivers: Sequence[Driver],
        folder: Path,
        clock_trusted: Callable[[], bool] = lambda: True,
        disk: DiskGuard | None = None,
        check: LedgerCheck | None = None,
    ) -> None:
        self._disk = disk
        self._check = check
        self._runtime = runtime
        self._clock_trusted = clock_trusted
        self._writer = writer
        self._drivers = drivers
        self._folder = folder
        #: names this process: headquarters tells two gateways of one identity apart by it
        self.instance = runtime.token_bytes(INSTANCE_BYTES).hex()
        self.open_exceptions = 0

    async def keep_looking(self) -> None:
        """Fetch for ever what `status` says of the ledger's content; ends only by cancellation."""
        while True:
            with suppress(LedgerUnavailableError):  # the writer says so itself
                self.open_exceptions = await self._writer.read(lambda state: len(state.exceptions))
            await asyncio.sleep(LOOK_S)

    def devices(self) -> tuple[DeviceStatus, ...]:
        """Each device with its state, reads per second and errors."""
        found = [driver.status() for driver in self._drivers]
        return self._ledger_disk() + tuple(
            DeviceStatus(
                name=device.name,
                state=str(device.state),
                reads_per_second=round(device.reads_per_second, 1),
                reads=device.reads_total,
                errors=sum(device.errors.values()),
                reason=device.reason,
            )
            for device in found
        )

    def _ledger_disk(self) -> tuple[DeviceStatus, ...]:
        """The ledger's disk, shown as a device while it takes nothing."""
        reason = (self._disk.fault if self._disk else "") or self._writer.fault
        if not reason:
            return ()
        return (DeviceStatus(name="ledger", state="blocked", errors=self._writer.faults, reason=reason),)

    def status(self) -> Status:
        """The gateway's status now."""
        return Status(
            now=self._runtime.now(),
            version=VERSION,
            recorded=self._writer.head.seq,
            clock_trusted=self._clock_trusted(),
            disk_free=shutil.disk_usage(self._folder).free,
            devices=self.devices(),
            open_exceptions=self.open_exceptions,
            instance=self.instance,
            disk=self._disk.level if self._disk else "good",
            disk_days=self._disk.days_left if self._disk else -1,
            chain=self._writer.damage or (self._check.fault if self._check else ""),
            checked_at=self._check.checked_at if self._check else 0,
        )

    def metrics(self, behind: Callable[[], int], counters: dict[str, int]) -> bytes:
        """The status in Prometheus' text format, with what the caller counts beside it."""
        registry = CollectorRegistry()
        status = self.status()

        def gauge(name: str, text: str, value: float) -> None:
            Gauge(f"evercount_{name}", text, registry=registry).set(value)

        gauge("ledger_rows", "Rows of the ledger", status.recorded)
        gauge("ledger_behind_rows", "Rows that headquarters does not hold yet", behind())
        gauge("clock_trusted", "1 while the time of the gateway is known to be right", status.clock_trusted)
        gauge("disk_free_bytes", "Free bytes on the ledger's disk", status.disk_free)
        gauge("disk_level", "Room on the ledger's disk: 0 good, 1 low, 2 scarce, 3 full", LEVELS.index(status.disk))
        gauge("disk_days_left", "Days until the disk is full at the present rate, -1 unknown", status.disk_days)
        gauge("ledger_damaged", "1 while the ledger's file is not what was written", bool(status.chain))
        gauge("ledger_disk_blocked", "1 while the ledger's disk takes nothing", bool(self._ledger_disk()))
        gauge("ledger_write_failures", "Writes that the ledger's disk refused since the start", self._writer.faults)
        for name, value in counters.items():
            gauge(name, name.replace("_", " ").capitalize(), value)
        reads = Gauge("evercount_device_reads", "Tag reads since the start", ["device"], registry=registry)
        reading = Gauge("evercount_device_reading", "1 while the device reads", ["device"], registry=registry)
        errors = Gauge("evercount_device_errors", "Errors since the start", ["device"], registry=registry)
        for device in status.devices:
            reads.labels(device.name).set(device.reads)
            reading.labels(device.name).set(device.state == "reading")
            errors.labels(device.name).set(device.errors)
        return generate_latest(registry)
