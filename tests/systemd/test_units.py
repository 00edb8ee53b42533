"""What the units promise, read from their text; and systemd's own judgement where systemd is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).resolve().parents[2] / "systemd"


def options(name: str) -> dict[str, list[str]]:
    """The options of a unit; those that are given more than once as a list."""
    found: dict[str, list[str]] = {}
    for line in (SYSTEMD / name).read_text().splitlines():
        if matched := re.match(r"(\w+)=(.*)", line):
            found.setdefault(matched[1], []).append(matched[2])
    return found


@pytest.mark.parametrize("name", ["gateway.service", "cloud.service"])
def test_a_service_is_watched_and_never_given_up(name: str) -> None:
    unit = options(name)
    assert unit["Type"] == ["notify"]
    assert unit["WatchdogSec"] == ["30"]
    assert unit["Restart"] == ["always"]
    assert unit["StartLimitIntervalSec"] == ["0"], "it is never given up"
    assert unit["User"] != ["root"]
    assert unit["CapabilityBoundingSet"] == [""]
    assert unit["NoNewPrivileges"] == ["yes"]


def test_the_gateway_sees_scanners_and_cameras_and_no_other_device() -> None:
    unit = options("gateway.service")
    assert unit["DevicePolicy"] == ["closed"]
    assert unit["DeviceAllow"] == ["char-ttyUSB rw", "char-ttyACM rw", "char-video4linux rw"]


@pytest.mark.parametrize(("ran_s", "waits"), [(0, 26), (20, 6), (26, None), (4_000, None)])
def test_starts_are_half_a_minute_apart(tmp_path: Path, ran_s: int, waits: int | None) -> None:
    """The line that waits after the end, with a clock and a sleep of the test's."""
    (stop,) = options("gateway.service")["ExecStopPost"]
    script = stop.removeprefix("+/bin/sh -c '").removesuffix("'").replace("$$", "$")
    (tmp_path / "started").write_text("1000\n")
    (tmp_path / "uptime").write_text(f"{1000 + ran_s}.42 77.0\n")
    script = script.replace("/run/evercount-gateway.started", f"{tmp_path}/started").replace(
        "/proc/uptime", f"{tmp_path}/uptime"
    )
    script = f"sleep() {{ echo $1; }}; {script}"

    def end(result: str) -> str:
        done = subprocess.run(["sh", "-c", script], env={"SERVICE_RESULT": result}, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    assert end("exit-code") == ("" if waits is None else str(waits))
    assert end("success") == "", "who stops or restarts it does not wait"


def test_systemd_takes_the_units_and_finds_little_exposed() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: ./run check installs it and looks")
    done = subprocess.run(["sh", str(SYSTEMD / "check.sh")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    scores = re.findall(r"exposure ([\d.]+)", done.stdout)
    assert len(scores) == 2
    assert all(float(score) <= 2.0 for score in scores)


def test_the_check_notices_a_misspelt_option_and_an_open_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: ./run check installs it and looks")
    for file in SYSTEMD.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    good = (SYSTEMD / "gateway.service").read_text()
    for bad in (
        good.replace("WatchdogSec", "WatchdogSek"),
        good.replace("ProtectSystem=strict", "").replace("User=", "#"),
    ):
        (tmp_path / "gateway.service").write_text(bad)
        assert subprocess.run(["sh", str(tmp_path / "check.sh")], capture_output=True).returncode == 1
