"""The demo's children: a dead one is reported with its last words, and none outlives the demo."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from demo.processes import Children, DemoError, free_ports

pytestmark = pytest.mark.real


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Small programs that can be run with -m."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "demo_sleeps.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    (folder / "demo_breaks.py").write_text("print('the tank is empty')\nraise SystemExit(3)\n")
    (folder / "demo_parent.py").write_text(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-m', 'demo_sleeps'])\n"
        "print('child', child.pid, flush=True)\nchild.wait()\n"
    )
    return folder


@pytest.fixture
def children(tmp_path: Path, programs: Path) -> Children:
    return Children(tmp_path / "logs", {"PYTHONPATH": str(programs)})


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


async def test_a_program_that_fails_is_told_with_its_last_lines(children: Children) -> None:
    with pytest.raises(DemoError, match=r"fill failed \(exit code 3\):\n +the tank is empty"):
        await children.call("fill", "demo_breaks")
    dead = await children.start("pump", "demo_breaks")
    await dead.process.wait()
    with pytest.raises(DemoError, match=r"pump has ended \(exit code 3\)"):
        children.check()
    with pytest.raises(DemoError, match="pump has ended"):
        await children.line(dead, "never said")
    await children.stop()


async def test_stopping_leaves_no_process_behind(children: Children) -> None:
    parent = await children.start("parent", "demo_parent")
    grandchild = int((await children.line(parent, "child")).split()[1])
    other = await children.start("other", "demo_sleeps")
    await children.line(other, "ready")
    stopped: list[str] = []
    await children.stop(stopped.append)
    assert stopped == ["other", "parent"]
    for _ in range(50):
        if not alive(grandchild):
            break
        await asyncio.sleep(0.1)
    assert not alive(grandchild)
    with pytest.raises(DemoError, match="being stopped"):
        await children.start("late", "demo_sleeps")


async def test_children_end_when_the_demo_is_killed(tmp_path: Path, programs: Path) -> None:
    script = (
        "import asyncio, pathlib\nfrom demo.processes import Children\n"
        f"async def main():\n    children = Children(pathlib.Path({str(tmp_path / 'l')!r}), "
        f"{{'PYTHONPATH': {str(programs)!r}}})\n"
        "    child = await children.start('sleeper', 'demo_sleeps')\n    await children.line(child, 'ready')\n"
        "    print(child.process.pid, flush=True)\n    await asyncio.sleep(60)\nasyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    for _ in range(50):
        if not alive(child):
            break
        await asyncio.sleep(0.1)
    assert not alive(child)


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(12))) == 12
