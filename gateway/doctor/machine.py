"""The machine: versions, memory, disk, swap, clock, device nodes, service. Each function looks at one thing."""

from __future__ import annotations

import platform
import shutil
import sqlite3
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.clock import BUILD_US
from gateway.doctor.finding import Finding, fail, ok, warn
from runtime import Runtime

#: Before this version a connection that checkpoints may race with another one that writes. Our one connection does both.
SQLITE_WITHOUT_RACE = (3, 51, 3)
#: MiB of memory: the gateway takes 100 to 250 with eight readers, and a Pi's system about as much again.
LEAST_MEMORY, GOOD_MEMORY = 450, 900
#: MiB that should be free now.
FREE_MEMORY = 150
#: Per cent of the disk that is free: where the gateway warns, and where it stops to keep evidence.
LOW_DISK, SCARCE_DISK = 15, 5
#: File systems of other machines: locks and fsync of SQLite do not hold there.
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.sshfs", "afs"})
#: File systems that forget.
FLEETING = frozenset({"tmpfs", "ramfs"})
#: Unit of the service, and where its processes stand while it runs (cgroups of version 2, and of version 1).
UNIT = Path("/etc/systemd/system/evercount-gateway.service")
PROCESSES = (
    Path("/sys/fs/cgroup/system.slice/evercount-gateway.service/cgroup.procs"),
    Path("/sys/fs/cgroup/systemd/system.slice/evercount-gateway.service/cgroup.procs"),
)


class Mount(NamedTuple):
    """A mounted file system."""

    folder: str
    kind: str
    source: str
    read_only: bool


def mounts(mountinfo: str) -> list[Mount]:
    """The lines of /proc/self/mountinfo (proc(5))."""
    found: list[Mount] = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(), after.split()
        if len(fields) >= 6 and len(rest) >= 2:
            folder = fields[4].replace("\\040", " ")
            read_only = "ro" in fields[5].split(",") or "ro" in (rest[2].split(",") if len(rest) > 2 else ())
            found.append(Mount(folder, rest[0], rest[1], read_only))
    return found


def mount_of(path: Path, known: Sequence[Mount]) -> Mount | None:
    """The file system that `path` lies on; the last of those mounted over each other."""
    fitting = [mount for mount in known if path.is_relative_to(mount.folder)]
    return max(reversed(fitting), key=lambda mount: len(Path(mount.folder).parts), default=None)


def python() -> Finding:
    """Python's version and word size."""
    text = f"Python {platform.python_version()}, {platform.machine()}"
    if sys.maxsize < 2**32:
        return warn("python", f"{text} with 32 bits", "Install the 64-bit Raspberry Pi OS: only that one is tested.")
    return ok("python", text)


def sqlite() -> Finding:
    """SQLite's version, and the race that is known of older ones."""
    if sqlite3.sqlite_version_info >= SQLITE_WITHOUT_RACE:
        return ok("sqlite", f"SQLite {sqlite3.sqlite_version}")
    return ok(
        "sqlite",
        f"SQLite {sqlite3.sqlite_version}; before 3.51.3 two connections can race when one writes and one checkpoints; "
        "this gateway does both on one connection",
    )


def memory(meminfo: str) -> Finding:
    """The memory, from the text of /proc/meminfo."""
    sizes = {name: rest.split() for name, _, rest in (line.partition(":") for line in meminfo.splitlines())}
    try:
        total, free = (int(sizes[name][0]) // 1_024 for name in ("MemTotal", "MemAvailable"))
    except (KeyError, IndexError, ValueError):
        return warn("memory", "/proc/meminfo says nothing about memory", "Look with: free -m")
    text = f"{total} MiB, {free} MiB free"
    if total < LEAST_MEMORY:
        return fail("memory", text, f"Use a machine with at least {GOOD_MEMORY} MiB.")
    if total < GOOD_MEMORY or free < FREE_MEMORY:
        return warn("memory", text, "Stop other programs, or use a machine with more memory; cameras need 1 GiB more.")
    return ok("memory", text)


def disk(folder: Path, known: Sequence[Mount]) -> Finding:
    """Room and kind of the disk under the ledger's folder."""
    place = _existing(folder)
    mount = mount_of(place.resolve(), known)
    usage = shutil.disk_usage(place)
    share = 100 * usage.free // max(usage.total, 1)
    text = f"{folder}: {usage.free >> 20} MiB free of {usage.total >> 20} ({share} %)"
    if mount is not None:
        text += f", {mount.kind} on {mount.source}"
        if mount.kind in NETWORK:
            return fail("disk", text, "Put [ledger] folder on a disk of this machine: a network share loses commits.")
        if mount.kind in FLEETING:
            return fail("disk", text, "Put [ledger] folder on a disk: this one is memory and forgets with the power.")
        if mount.read_only:
            return fail("disk", f"{text}, read-only", "The card may be worn out: see dmesg, and replace it.")
    if share < SCARCE_DISK:
        return fail("disk", text, "Make room now: below 2 % nothing is recorded.")
    if share < LOW_DISK:
        return warn("disk", text, "Make room, or use a larger card.")
    if mount is not None and mount.kind == "overlay":
        return warn("disk", text, "In a container: put [ledger] folder on a volume that outlives it.")
    return ok("disk", text)


def swap(swaps: str, known: Sequence[Mount]) -> Finding:
    """Swap on a memory card wears it out; from the text of /proc/swaps."""
    for line in swaps.splitlines()[1:]:
        name, kind = (*line.split(), "", "")[:2]
        mount = mount_of(Path(name), known) if kind == "file" else None
        if "mmcblk" in (mount.source if mount else name):
            return warn(
                "swap",
                f"{name} is on the memory card",
                "Turn it off, it wears the card: systemctl disable dphys-swapfile",
            )
    return ok("swap", "none on a memory card")


def clock(runtime: Runtime, always: bool) -> Finding:
    """Whether the clock is right, and something keeps it so."""
    if runtime.now() < BUILD_US:
        return fail(
            "clock", "the clock stands before this program was made", "Start a time service: timedatectl set-ntp on"
        )
    if always:
        return ok("clock", "trusted by configuration")
    if not runtime.clock_synchronised():
        return warn(
            "clock",
            "nothing synchronises the clock; movements get their right times later",
            "timedatectl set-ntp on; where the network has no time server, name the site's own or add a clock module.",
        )
    return ok("clock", "synchronised")


def time_zone(zone: str) -> Finding:
    """Whether the site's time zone is known here; `zone` is an IANA name."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return fail("time zone", f"{zone} is not known", "apt-get install tzdata")
    return ok("time zone", f"{zone} is known")


def devices(nodes: Sequence[Path], groups: frozenset[int]) -> Finding:
    """Whether the service's user, a member of `groups`, may use serial devices and cameras that are plugged in."""
    closed: list[str] = []
    for node in nodes:
        entry = node.stat()
        by_group = (
            entry.st_gid in groups and entry.st_mode & (stat.S_IRGRP | stat.S_IWGRP) == stat.S_IRGRP | stat.S_IWGRP
        )
        if not by_group and not entry.st_mode & stat.S_IWOTH:
            closed.append(str(node))
    if closed:
        return warn(
            "devices",
            f"the service's user may not use {', '.join(closed)}",
            "usermod -aG dialout,video evercount, then restart the service.",
        )
    return ok("devices", f"{len(nodes)} serial devices and cameras are plugged in" if nodes else "none is plugged in")


def service(unit: Path = UNIT, processes: Sequence[Path] = PROCESSES) -> Finding:
    """Whether the service is installed and runs."""
    if not unit.exists():
        return warn("service", "not installed as a service", "systemd/install.sh install, so that it starts by itself.")
    running = any(file.exists() and file.read_text().split() for file in processes)
    if not running:
        return warn("service", f"{unit.name} does not run", f"systemctl start {unit.name}; journalctl -u {unit.name}")
    return ok("service", f"{unit.name} runs")


def _existing(folder: Path) -> Path:
    """`folder`, or the nearest folder above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
