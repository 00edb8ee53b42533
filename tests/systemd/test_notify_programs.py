"""The real programs and a real datagram socket: ready, signs of life, none when something hangs, stopping."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from manager import PATIENCE_S, Manager, service

BIN = Path(sys.executable).parent
#: Seconds within which the tests' manager wants a sign of life: short, so that tests are.
WATCHDOG_S = 1.0

GATEWAY = """
import sys
from pathlib import Path
from gateway.__main__ import main
from runtime import notify

notify.LOOK_S = 0.1
notify.Watchdog.watch.__defaults__ = (0.5,)

if len(sys.argv) > 3:  # the ledger's thread hangs from the moment this file is there
    import time
    from gateway.ledger.file import LedgerFile
    from gateway.ledger import writer
    perform, hang = writer.LedgerWriter.perform, Path(sys.argv[3])

    async def hanging(self, work):
        def slow(file):
            while hang.exists():
                time.sleep(0.02)
            return work(file)
        return await perform(self, slow)

    writer.LedgerWriter.perform = hanging

sys.argv = ["evercount-gateway", "run", "--config", sys.argv[1]]
main()
"""


def config(folder: Path, station: int = 0) -> Path:
    file = folder / "gateway.toml"
    file.write_text(f'[ledger]\nfolder = "var"\n[station]\nport = {station}\n')
    return file


@pytest.mark.real
def test_the_gateway_is_ready_when_it_listens_and_then_shows_life_until_told_to_stop(
    manager: Manager, tmp_path: Path
) -> None:
    command = [BIN / "evercount-gateway", "run", "--config", config(tmp_path)]
    with service(command, manager.environment(WATCHDOG_S), tmp_path / "log") as process:
        ready = manager.wait_for("READY", "1")
        assert "0 rows" in ready["STATUS"]
        assert any("EXTEND_TIMEOUT_USEC" in told for told in manager.told[:-1]), "a long start asks for time first"
        heard = manager.hear(2.2)
        assert sum("WATCHDOG" in told for told in heard) >= 3, "a sign of life in each half of the period"
        process.send_signal(signal.SIGTERM)
        manager.wait_for("STOPPING", "1")
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.real
def test_no_sign_of_life_while_the_ledgers_thread_hangs_and_again_when_it_goes_on(
    manager: Manager, tmp_path: Path
) -> None:
    hang = tmp_path / "hang"
    command = [sys.executable, "-c", GATEWAY, config(tmp_path), "hang", hang]
    with service(command, manager.environment(WATCHDOG_S), tmp_path / "log") as process:
        manager.wait_for("READY", "1")
        manager.wait_for("WATCHDOG", "1")
        hang.touch()
        stuck = manager.wait_for("STATUS", "stuck: the ledger's thread")
        assert "WATCHDOG" not in stuck
        assert not any("WATCHDOG" in told for told in manager.hear(1.5)), "nothing that keeps it from being restarted"
        hang.unlink()
        manager.wait_for("WATCHDOG", "1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.real
def test_a_port_that_is_taken_costs_the_page_and_not_the_gateway(manager: Manager, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [BIN / "evercount-gateway", "run", "--config", config(tmp_path, taken.getsockname()[1])]
        with service(command, manager.environment(WATCHDOG_S), tmp_path / "log"):
            manager.wait_for("READY", "1")
            manager.wait_for("WATCHDOG", "1")
            assert "choose another port" in (tmp_path / "log").read_text()


@pytest.mark.real
def test_headquarters_is_ready_when_it_serves_and_shows_life(manager: Manager, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/hq.db"
    cloud = [BIN / "evercount-cloud", "--database", database]
    subprocess.run([*cloud, "migrate"], check=True, capture_output=True)
    with service([*cloud, "serve", "--port", "0"], manager.environment(WATCHDOG_S), tmp_path / "log") as process:
        ready = manager.wait_for("READY", "1")
        assert "serving http://127.0.0.1:" in ready["STATUS"]
        manager.wait_for("WATCHDOG", "1")
        with closing(sqlite3.connect(tmp_path / "hq.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # somebody writes for long: a state, not a hang
            assert any("WATCHDOG" in told for told in manager.hear(1.2))
        process.send_signal(signal.SIGTERM)
        manager.wait_for("STOPPING", "1")
        assert process.wait(PATIENCE_S) == 0
