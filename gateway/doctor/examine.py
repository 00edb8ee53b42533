"""All looks, in the order in which a technician would take them."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import pwd
from collections.abc import AsyncGenerator
from pathlib import Path

from gateway.config import Config
from gateway.doctor import machine, site
from gateway.doctor.finding import Finding, fail, ok, warn
from gateway.errors import GatewayError, NotEnrolledError
from gateway.ledger.store import LedgerReader
from gateway.sync.http import Cloud
from gateway.sync.identity import EnrolmentRecord, load_enrolment, load_or_make_identity
from runtime import Runtime
from runtime.notify import AUTHORITY, credential

#: Patterns of the devices that the service may use.
NODES = ("ttyUSB*", "ttyACM*", "video*")
#: User of the service.
USER = "evercount"
#: Zone that is looked for where the site's is not known yet.
ANY_ZONE = "Europe/Berlin"


async def examine(config: Config, runtime: Runtime, ledger: Path, dev: Path = Path("/dev")) -> list[Finding]:
    """Look at everything; changes nothing. `ledger` is the ledger's file. Raises nothing for what is wrong with the site."""
    known = machine.mounts(_text("/proc/self/mountinfo"))
    found = [
        machine.python(),
        machine.sqlite(),
        machine.memory(_text("/proc/meminfo")),
        machine.disk(ledger.parent, known),
        machine.swap(_text("/proc/swaps"), known),
        machine.clock(runtime, config.clock.trusted == "always"),
        machine.service(),
        machine.devices(_nodes(dev), _groups()),
        site.folder(ledger.parent),
    ]
    enrolled: EnrolmentRecord | None = None
    try:
        enrolled = load_enrolment(ledger.parent)
        found.append(ok("enrolment", f"site {enrolled.enrolled.site} ({enrolled.enrolled.name})"))
    except NotEnrolledError as error:
        look = fail if config.cloud else warn
        found.append(
            look("enrolment", str(error), "evercount-cloud enrolment-code SITE prints a code at headquarters.")
        )
    except (GatewayError, OSError) as error:
        found.append(fail("enrolment", str(error), "Restore the folder, or enrol anew."))
    found.append(machine.time_zone(enrolled.enrolled.zone if enrolled else ANY_ZONE))
    found.append(await site.ledger(ledger) if _is_there(ledger) else site.no_ledger(ledger))
    found += await asyncio.gather(*(site.reader(one, runtime) for one in config.reader))
    if enrolled is not None:
        found.append(await _headquarters(enrolled, ledger, runtime))
    return found


async def _headquarters(enrolled: EnrolmentRecord, ledger: Path, runtime: Runtime) -> Finding:
    try:
        async with _epoch(ledger) as epoch:
            if not _is_there(ledger.parent / "identity.key"):
                return fail("headquarters", "this gateway has lost its key", "Enrol it anew, as a spare box.")
            identity = load_or_make_identity(ledger.parent, runtime)
            authority = credential(AUTHORITY)
            cloud = Cloud(enrolled.cloud, identity, runtime, authority=authority)
            try:
                return await site.headquarters(cloud, epoch)
            finally:
                await cloud.close()
    except (GatewayError, OSError) as error:
        return fail("headquarters", str(error), "Put the folder in order first.")


@contextlib.asynccontextmanager
async def _epoch(ledger: Path) -> AsyncGenerator[int]:
    reader = await LedgerReader.open(ledger)
    try:
        yield (await reader.branch()).epoch
    finally:
        await reader.close()


def _nodes(dev: Path) -> list[Path]:
    return [node for pattern in NODES for node in sorted(dev.glob(pattern))]


def _groups() -> frozenset[int]:
    """The groups of the service's user; none where there is no such user."""
    try:
        user = pwd.getpwnam(USER)
    except KeyError:
        return frozenset()
    return frozenset({user.pw_gid, *(group.gr_gid for group in grp.getgrall() if USER in group.gr_mem)})


def _is_there(path: Path) -> bool:
    return path.exists()


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
