"""The site: key and folder, ledger, readers, headquarters. Each function looks at one thing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.devices.rfid.config import ReaderConfig
from gateway.doctor.finding import Finding, fail, ok, warn
from gateway.errors import GatewayError
from gateway.ledger.store import LedgerReader
from gateway.sync.http import Cloud
from runtime import Runtime

#: Seconds until a reader has to accept a connection: on the site's own network it takes milliseconds.
CONNECT_S = 2.0
#: Rows at the end of the ledger that are read and checked: what a torn write would hurt, in a moment.
TAIL_ROWS, TAIL_BYTES = 2_000, 8 << 20
#: Seconds that the clock may differ from headquarters' without a word.
OFFSET_S = 2.0


def folder(path: Path) -> Finding:
    """Whether the ledger's folder and the key belong to one user, and the key to nobody else."""
    if not path.exists():
        return warn("folder", f"{path} is not there yet", "It is made at the first start or by enrol.")
    owner = path.stat().st_uid
    strange = sorted(entry.name for entry in path.iterdir() if entry.stat(follow_symlinks=False).st_uid != owner)
    if strange:
        return fail(
            "folder",
            f"{path}: {', '.join(strange[:5])} belongs to another user than the folder",
            f"The service cannot write it: chown -R --reference={path} {path}",
        )
    if path.stat().st_mode & 0o002:
        return fail("folder", f"everybody may write to {path}", f"chmod 750 {path}")
    key = path / "identity.key"
    if not key.exists():
        return warn("key", "this gateway has no key yet", "It is made at the first start or by enrol.")
    if key.stat().st_mode & 0o077:
        return fail("key", f"{key} can be read by others", f"chmod 600 {key}, and enrol anew if somebody did.")
    return ok("key", f"{key} is its user's alone")


def no_ledger(path: Path) -> Finding:
    """Said of a ledger that is not there."""
    return warn("ledger", f"{path} is not there yet", "It is made at the first start or by enrol.")


async def ledger(path: Path) -> Finding:
    """Whether the ledger opens and its last rows are what was written."""
    try:
        reader = await LedgerReader.open(path)
        try:
            head = await reader.head()
            first = max(1, head.seq - TAIL_ROWS + 1, await _first_row(reader))
            rows = await reader.rows(first, TAIL_ROWS, TAIL_BYTES)
            behind = head.seq - await reader.acknowledged()
        finally:
            await reader.close()
    except GatewayError as error:
        return fail("ledger", str(error), f"evercount-gateway verify-ledger {path}")
    return ok("ledger", f"{head.seq} rows, the last {len(rows)} are sound; {behind} not acknowledged when last noted")


async def _first_row(reader: LedgerReader) -> int:
    """The first row that retention kept among the last ones."""
    rows = await reader.recent(TAIL_ROWS)
    return rows[-1].seq if rows else 1


async def reader(config: ReaderConfig, runtime: Runtime) -> Finding:
    """Whether a reader accepts a connection. It is closed at once: nothing is configured, nothing is read."""
    check, address = f"reader {config.name}", f"{config.host}:{config.port}"
    try:
        async with asyncio.timeout(CONNECT_S):
            transport, _ = await runtime.connect(asyncio.Protocol, config.host, config.port)
        transport.close()
    except (OSError, TimeoutError) as error:
        why = "no answer within 2 s" if isinstance(error, TimeoutError) else str(error)
        return fail(check, f"{address}: {why}", "Look at its power, cable and address; then: ping " + config.host)
    return ok(check, f"{address} accepts connections")


async def headquarters(cloud: Cloud, epoch: int) -> Finding:
    """Whether headquarters answers, knows this gateway, and what time it has there."""
    try:
        query = {"epoch": str(epoch)}
        answer = await cloud.ask("GET", f"/v1/gateways/{cloud.gateway}/head", query=query)
    except GatewayError as error:
        return fail(
            "headquarters", str(error), "The ledger waits for weeks; look at network, name service and certificate."
        )
    offset = f"its clock is {cloud.offset_us / 1_000_000:+.0f} s from ours"
    if answer.status in (401, 403):
        return fail("headquarters", f"{answer.reason}; {offset}", "Ask headquarters for a new code, and enrol again.")
    if answer.status != 200:
        return fail("headquarters", f"{cloud.url}: {answer.reason}", "Ask those who run headquarters.")
    if abs(cloud.offset_us) > OFFSET_S * 1_000_000:
        return warn("headquarters", f"{cloud.url} answers; {offset}", "Synchronise the clock: timedatectl set-ntp on")
    return ok("headquarters", f"{cloud.url} answers and knows gateway {cloud.gateway}")
