"""What a whole gateway takes: emulated readers flood it over real sockets from another process. Prints one JSON line.

    python -m benchmarks.gateway_flood [readers] [reads_per_s] [seconds] [tags_per_report]

The gateway of this process is the one that `evercount-gateway run` builds: drivers, dock-door rule, ledger on disk. Each
reader sees 200 tags again and again: the worst case for the rule, which must keep a passage for each. Reported: CPU
share of one core, RSS, loop lag p99, reads sent, reads counted by the drivers, distinct tags kept.
"""

from __future__ import annotations

import asyncio
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from msgspec.structs import replace

from gateway.app import Gateway
from gateway.config import load_config
from gateway.simulation.epc_encode import check_digit, sgtin_96
from gateway.simulation.flood import flood
from gateway.simulation.warehouse import Warehouse, emulate
from runtime import SystemRuntime

#: Tags that each reader sees: more than a pallet, as many as a crowded dock.
TAGS = 200
#: Seconds that readers and drivers may take to find each other.
SETTLE_S = 3.0


def epcs(reader: int) -> list[str]:
    """The tags of one reader."""
    gtin = f"19506000{reader:05d}"
    return [sgtin_96(gtin + check_digit(gtin), number, 7) for number in range(TAGS)]


async def emulate_readers(config_file: Path, rate: float, seconds: float, batch: int) -> None:
    """The other process: listens, says so, floods when it is told to, and says what it sent."""
    config = load_config(config_file)
    runtime = SystemRuntime()
    hardware = emulate(
        [(r.name, r.host, 0) for r in config.reader], [(d.name, d.inside, d.outside) for d in config.door]
    )
    two = tuple(replace(reader, profile=replace(reader.profile, antennas=2)) for reader in hardware.readers)
    warehouse = Warehouse(runtime, replace(hardware, readers=two))
    await warehouse.start()
    print(json.dumps({name: reader.port for name, reader in warehouse.readers.items()}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    found = await asyncio.gather(
        *(
            flood(reader, runtime, epcs(number), rate, seconds, batch)
            for number, reader in enumerate(warehouse.readers.values())
        )
    )
    print(
        json.dumps({"sent": sum(one.sent for one in found), "refused": sum(one.refused for one in found)}), flush=True
    )
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await warehouse.stop()


def configuration(folder: Path, ports: dict[str, int] | None, readers: int) -> Path:
    """A gateway's file for `readers` readers with two antennas at one door each."""
    text = "[station]\nport = 0\n"
    for number in range(readers):
        name = f"r{number}"
        text += f'[[reader]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {(ports or {}).get(name, 5084)}\nintent = "portal"\n'
        text += 'antennas = [{ port = 1, zone = "outside" }, { port = 2, zone = "inside" }]\n'
        text += (
            f'[[door]]\nname = "d{number}"\nplace = "dock-{number}"\noutside = ["{name}/1"]\ninside = ["{name}/2"]\n'
        )
    path = folder / "gateway.toml"
    path.write_text(text)
    return path


async def lag_probe(lags: list[float]) -> None:
    """How late the loop is, every 5 ms."""
    while True:
        due = time.perf_counter() + 0.005
        await asyncio.sleep(0.005)
        lags.append(max(0.0, time.perf_counter() - due))


async def measure(folder: Path, child: subprocess.Popen[str], readers: int, seconds: float) -> dict[str, object]:
    """Run the gateway against the child's readers."""
    loop = asyncio.get_running_loop()
    assert child.stdout is not None
    assert child.stdin is not None
    ports = json.loads(await loop.run_in_executor(None, child.stdout.readline))
    gateway = Gateway(load_config(configuration(folder, ports, readers)), SystemRuntime())
    async with gateway.open() as supervisor:
        running = asyncio.create_task(supervisor.run())
        await asyncio.sleep(SETTLE_S)
        lags: list[float] = []
        probe = asyncio.create_task(lag_probe(lags))
        before, began = time.process_time(), time.perf_counter()
        child.stdin.write("go\n")
        child.stdin.flush()
        flooded = json.loads(await loop.run_in_executor(None, child.stdout.readline))
        cpu, wall = time.process_time() - before, time.perf_counter() - began
        await asyncio.sleep(1.0)
        probe.cancel()
        passages = {passage.identifier for passage in gateway.pipeline.rule.live()}
        counted = sum(driver.status().reads_total for driver in gateway.drivers)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    child.stdin.write("end\n")
    child.stdin.flush()
    lags.sort()
    return {
        **flooded,
        "reads_counted": counted,
        "tags_kept": len(passages),
        "tags_shown": readers * TAGS,
        "cpu_share_of_a_core": round(cpu / wall, 3),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "loop_lag_p99_ms": round(lags[int(len(lags) * 0.99)] * 1_000, 1),
        "pauses": sum(driver.status().pauses for driver in gateway.drivers),
    }


def main() -> None:
    if sys.argv[1:2] == ["--readers"]:
        path, rate, seconds, batch = sys.argv[2:]
        asyncio.run(emulate_readers(Path(path), float(rate), float(seconds), int(batch)))
        return
    given = [float(text) for text in sys.argv[1:]] + [8, 1_100, 20, 10][len(sys.argv) - 1 :]
    readers, rate, seconds, batch = int(given[0]), given[1], given[2], int(given[3])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = configuration(folder, None, readers)
        command = [
            sys.executable,
            "-m",
            "benchmarks.gateway_flood",
            "--readers",
            str(file),
            str(rate),
            str(seconds),
            str(batch),
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            result = asyncio.run(measure(folder, child, readers, seconds))
    result = {
        "figure": "gateway_flood",
        "readers": readers,
        "reads_per_s_each": rate,
        "seconds": seconds,
        "tags_per_report": batch,
        **result,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
