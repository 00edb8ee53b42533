"""What the doctor finds on a machine and a site, and that each finding that is not good says what to do."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from virtual import VirtualRuntime

from gateway.__main__ import main
from gateway.devices.rfid.config import AntennaConfig, Intent, ReaderConfig
from gateway.doctor import machine, site

MOUNTS = """\
22 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw
30 22 0:26 / /run rw,nosuid - tmpfs tmpfs rw,size=400000k
40 22 0:40 / /srv/share rw - nfs4 nas:/vol rw,vers=4.2
41 22 8:1 / /mnt/my\\040disk ro - ext4 /dev/sda1 ro
42 22 8:2 / /mnt/aborted rw - ext4 /dev/sda2 ro,errors=remount-ro
"""


def test_the_kind_of_disk_decides(tmp_path: Path) -> None:
    def found(kind: str, read_only: bool = False) -> str:
        finding = machine.disk(tmp_path / "var", [machine.Mount("/", kind, "/dev/x", read_only)])
        assert (finding.advice == "") == (finding.state == "ok")
        return finding.state

    assert found("nfs4") == found("tmpfs") == found("ext4", read_only=True) == "fail"
    assert found("ext4") in ("ok", "warn", "fail")  # as much room as this machine has
    assert machine.mounts(MOUNTS)[3].folder == "/mnt/my disk"
    assert machine.mounts(MOUNTS)[4].read_only, "a disk that gave up is read-only in its super block"
    assert machine.mount_of(Path("/srv/share/a"), machine.mounts(MOUNTS)) == machine.mounts(MOUNTS)[2]


def test_swap_on_a_memory_card_is_named() -> None:
    known = machine.mounts(MOUNTS)
    head = "Filename Type Size Used Priority\n"
    assert machine.swap(head + "/var/swap file 102396 0 -2\n", known).state == "warn"
    assert machine.swap(head + "/dev/mmcblk0p3 partition 102396 0 -2\n", known).state == "warn"
    assert machine.swap(head + "/dev/zram0 partition 102396 0 100\n", known).state == "ok"
    assert machine.swap(head, known).state == "ok"


@pytest.mark.parametrize(
    ("total", "free", "state"), [(3_884, 3_000, "ok"), (3_884, 90, "warn"), (700, 400, "warn"), (425, 300, "fail")]
)
def test_memory_is_enough(total: int, free: int, state: str) -> None:
    text = f"MemTotal: {total * 1024} kB\nMemFree: 1 kB\nMemAvailable: {free * 1024} kB\n"
    assert machine.memory(text).state == state
    assert machine.memory("nonsense").state == "warn"


def test_the_service_is_installed_and_runs(tmp_path: Path) -> None:
    unit, processes = tmp_path / "evercount-gateway.service", tmp_path / "cgroup.procs"
    assert machine.service(unit, [processes]).text == "not installed as a service"
    unit.touch()
    assert machine.service(unit, [processes]).state == "warn"
    processes.write_text("4711\n")
    assert machine.service(unit, [processes]).state == "ok"


def test_devices_are_open_to_the_services_groups(tmp_path: Path) -> None:
    node = tmp_path / "ttyACM0"
    node.touch()
    node.chmod(0o660)
    assert machine.devices([node], frozenset({node.stat().st_gid})).state == "ok"
    assert machine.devices([node], frozenset()).state == "warn"
    node.chmod(0o600)
    assert machine.devices([node], frozenset({node.stat().st_gid})).state == "warn"


def test_the_key_is_its_users_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    assert site.folder(tmp_path / "missing").state == "warn"
    assert site.folder(tmp_path).check == "key"
    key = tmp_path / "identity.key"
    key.touch(0o600)
    assert site.folder(tmp_path).state == "ok"
    key.chmod(0o640)
    assert "chmod 600" in site.folder(tmp_path).advice
    if os.geteuid() == 0:
        os.chown(key, 4711, 4711)
        assert "another user" in site.folder(tmp_path).text


async def test_readers_answer_within_two_seconds_or_are_named() -> None:
    runtime = VirtualRuntime()
    config = ReaderConfig("door-1", "10.0.0.1", Intent.PORTAL, (AntennaConfig(1, "inside"),))
    refused = await site.reader(config, runtime)
    assert (refused.state, refused.check) == ("fail", "reader door-1")
    assert "ping 10.0.0.1" in refused.advice
    await runtime.listen(asyncio.Protocol, "10.0.0.1", 5084)
    assert (await site.reader(config, runtime)).state == "ok"
    runtime.network.latency = lambda: 30.0
    assert "no answer within 2 s" in (await site.reader(config, runtime)).text


def test_time_zones_are_known() -> None:
    assert machine.time_zone("Europe/Berlin").state == "ok"
    assert machine.time_zone("Nowhere/Land").state == "fail"
    assert machine.time_zone("../etc/passwd").state == "fail"


@pytest.mark.real
def test_the_command_prints_findings_and_says_no_when_one_fails(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[ledger]\nfolder = "var"\n')
    result = CliRunner().invoke(main, ["doctor", "--config", str(file), "--json"])
    told = json.loads(result.stdout)
    assert result.exit_code == (0 if told["ok"] else 1)
    states = {finding["check"]: finding["state"] for finding in told["findings"]}
    assert states["enrolment"] == "warn", "a site may work alone"
    assert not (tmp_path / "var").exists(), "looking changes nothing"
    file.write_text('[ledger]\nfolder = "var"\n[cloud]\nurl = "https://hq.example"\n')
    result = CliRunner().invoke(main, ["doctor", "--config", str(file)])
    assert result.exit_code == 1
    assert "fail enrolment:" in result.stdout
    assert "     -> " in result.stdout
