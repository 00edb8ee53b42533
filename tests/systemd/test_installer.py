"""The installer's decisions about a new version, with a service manager that plays a part: it stays, or goes back whole."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).resolve().parents[2] / "systemd"
#: Stands in for systemctl: remembers what it was told, and answers from the files beside it.
SYSTEMCTL = """#!/bin/sh
here=$(dirname "$0")/..
echo "$*" >>"$here/told"
case "$1" in show) cat "$here/$3" ;; esac
"""
#: Stands in for a version's program: says where it was when it was asked to bring the ledger back.
PROGRAM = """#!/bin/sh
echo "$(basename "$(dirname "$(dirname "$(readlink -f "$0")")")") $*" >>"{root}/ran"
[ {status} = 0 ] || exit {status}
exec python3 -c 'import sqlite3; sqlite3.connect("{root}/var/lib/evercount/ledger.db").execute("PRAGMA user_version = 1")'
"""


class Machine:
    """A root folder with an installer whose paths lead into it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        text = (SYSTEMD / "install.sh").read_text()
        for path in ("/opt/evercount", "/etc/", "/var/lib/evercount", "/usr/local/bin", "/run/systemd/system"):
            text = text.replace(path, f"{root}{path}")
        self.script = root / "install.sh"
        self.script.write_text(text)
        self.opt, self.state = root / "opt/evercount", root / "var/lib/evercount"
        for folder in (self.opt, self.state, root / "run/systemd/system", root / "shim"):
            folder.mkdir(parents=True)
        self._program(root / "shim/systemctl", SYSTEMCTL)
        self._program(root / "shim/id", "#!/bin/sh\necho 0\n")
        self._program(root / "shim/udevadm", "#!/bin/sh\n")
        self.knows(ActiveState="active", SubState="running", NRestarts="0")

    def knows(self, **properties: str) -> None:
        """What the service manager says of the gateway."""
        for name, value in properties.items():
            (self.root / name).write_text(value + "\n")

    def version(self, name: str, schema: int, brings_back: bool = True) -> None:
        """An installed version that knows ledgers up to `schema`."""
        env = self.opt / name
        (env / "bin").mkdir(parents=True)
        (env / "complete").touch()
        (env / "share/evercount").mkdir(parents=True)
        for file in SYSTEMD.iterdir():
            (env / "share/evercount" / file.name).write_bytes(file.read_bytes())
        self._program(env / "bin/evercount-gateway", PROGRAM.format(root=self.root, status=0 if brings_back else 2))
        # asked for the newest schema it knows, or for the one that a ledger has
        answers = f'#!/bin/sh\ncase "$*" in *versions*) echo {schema} ;; *) exec python3 "$@" ;; esac\n'
        self._program(env / "bin/python", answers)

    def link(self, name: str, version: str) -> None:
        (self.opt / name).symlink_to(version)

    def ledger(self, schema: int) -> None:
        with closing(sqlite3.connect(self.state / "ledger.db")) as connection:
            connection.execute(f"PRAGMA user_version = {schema}")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        timing = {"EVERCOUNT_GATE_S": "2", "EVERCOUNT_GATE_LOOK_S": "1", "EVERCOUNT_GATE_DOWN_S": "1"}
        path = f"{self.root}/shim:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", str(self.script), *arguments],
            env={**os.environ, **timing, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def current(self) -> str:
        return os.readlink(self.opt / "current")

    def told(self) -> str:
        return (self.root / "told").read_text() if (self.root / "told").exists() else ""

    def ran(self) -> str:
        return (self.root / "ran").read_text() if (self.root / "ran").exists() else ""

    def _program(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which version 2 took the place of version 1 just now."""
    made = Machine(tmp_path)
    made.version("1", schema=1)
    made.version("2", schema=2)
    made.link("previous", "1")
    made.link("current", "2")
    (made.opt / "pending").write_text("2\n")
    return made


def test_a_version_that_stays_healthy_stays(machine: Machine) -> None:
    result = machine.run("gate")
    assert result.returncode == 0, result.stderr
    assert machine.current == "2"
    assert not (machine.opt / "pending").exists()
    assert "disable evercount-health-gate.service" in machine.told()
    assert machine.run("rollback").returncode == 0, "and a person may still go back"
    assert machine.current == "1"


@pytest.mark.parametrize("fault", ["dead", "never ready"])
def test_a_version_that_is_not_healthy_goes_back_with_its_ledger(machine: Machine, fault: str) -> None:
    machine.ledger(schema=2)
    state = ("failed", "failed") if fault == "dead" else ("activating", "start")
    machine.knows(ActiveState=state[0], SubState=state[1])
    result = machine.run("gate")
    assert result.returncode == 1
    assert machine.current == "1"
    assert machine.ran().startswith("2 rollback-ledger --config"), "the newer program knows how the ledger goes back"
    told = machine.told()
    assert told.index("stop evercount-gateway") < told.index("start --no-block evercount-gateway")
    assert not (machine.opt / "pending").exists()


def test_a_ledger_that_both_versions_can_read_stays_as_it_is(machine: Machine) -> None:
    machine.ledger(schema=1)
    assert machine.run("rollback").returncode == 0
    assert machine.current == "1"
    assert "rollback-ledger" not in machine.ran()


def test_a_ledger_that_cannot_go_back_keeps_the_new_version(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.version("1", schema=1)
    machine.version("2", schema=2, brings_back=False)
    machine.link("previous", "1")
    machine.link("current", "2")
    machine.ledger(schema=2)
    result = machine.run("rollback")
    assert result.returncode == 1
    assert "nothing is lost" in result.stderr
    assert machine.current == "2"
    assert "start --no-block evercount-gateway" in machine.told(), "it runs again"


def test_restarts_are_counted(machine: Machine) -> None:
    counter = machine.root / "NRestarts"
    # each look at it is one restart later
    machine._program(
        machine.root / "shim/systemctl",
        SYSTEMCTL.replace(
            "case", f'[ "$3" != NRestarts ] || echo $(($(cat {counter}) + 1)) >"{counter}.new"\ncase', 1
        ).replace("esac", f'esac\n[ ! -f "{counter}.new" ] || mv "{counter}.new" "{counter}"'),
    )
    assert machine.run("gate").returncode == 1
    assert machine.current == "1"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "usage:"),
        (("instal",), "usage:"),
        (("install", "now"), "usage:"),
        (("uninstall", "--all"), "usage:"),
        (("upgrade",), "unpacked source"),
    ],
)
def test_wrong_use_is_told_in_one_sentence(machine: Machine, arguments: tuple[str, ...], says: str) -> None:
    result = machine.run(*arguments)
    assert result.returncode == 2
    assert says in result.stderr
    assert machine.current == "2"


def test_nothing_to_go_back_to(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.version("1", schema=1)
    machine.link("current", "1")
    result = machine.run("rollback")
    assert result.returncode == 2
    assert "no version to go back to" in result.stderr
    assert machine.run("gate").returncode == 2


def test_uninstall_keeps_the_ledger_unless_it_is_purged(machine: Machine) -> None:
    machine._program(machine.root / "shim/getent", "#!/bin/sh\nexit 2\n")
    machine.ledger(schema=2)
    assert machine.run("uninstall").returncode == 0
    assert not machine.opt.exists()
    assert (machine.state / "ledger.db").exists()
    assert machine.run("uninstall", "--purge").returncode == 0
    assert not machine.state.exists()
