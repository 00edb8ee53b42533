"""How the gateway does: the small status that rides on each request, and the same as figures for Prometheus."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from gateway.devices.driver import Driver
from gateway.ledger.writer import LedgerWriter
from runtime import Runtime
from vocabulary.wire import DeviceStatus, Status

VERSION = "0.1.0"


class Health:
    """Looks at the parts when it is asked; keeps nothing."""

    def __init__(self, runtime: Runtime, writer: LedgerWriter, drivers: Sequence[Driver], folder: Path) -> None:
        self._runtime = runtime
        self._writer = writer
        self._drivers = drivers
        self._folder = folder

    def devices(self) -> tuple[DeviceStatus, ...]:
        """Each device with its state, reads per second and errors."""
        found = [driver.status() for driver in self._drivers]
        return tuple(
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

    def status(self) -> Status:
        """The gateway's status now."""
        return Status(
            now=self._runtime.now(),
            version=VERSION,
            recorded=self._writer.head.seq,
            disk_free=shutil.disk_usage(self._folder).free,
            devices=self.devices(),
        )

    def metrics(self, behind: Callable[[], int], counters: dict[str, int]) -> bytes:
        """The status in Prometheus' text format, with what the caller counts beside it."""
        registry = CollectorRegistry()
        status = self.status()

        def gauge(name: str, text: str, value: float) -> None:
            Gauge(f"evercount_{name}", text, registry=registry).set(value)

        gauge("ledger_rows", "Rows of the ledger", status.recorded)
        gauge("ledger_behind_rows", "Rows that headquarters does not hold yet", behind())
        gauge("disk_free_bytes", "Free bytes on the ledger's disk", status.disk_free)
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
