"""How long after the last read at a door, and after the ledger's commit, a movement stands on headquarters' live page.

    python -m benchmarks.latency [--passages 50] [--speed 1]

The whole demo runs: emulated readers, three gateways, headquarters, a real browser on /live, and the demo's own traffic
beside the measured passages. Commits are seen by a stranger who reads the ledgers' files every few milliseconds; the page
by an observer of its document. All times are taken by this machine's clock, in real seconds. The last read is the last
one that the movement rests on: the rule decides as soon as it is sure, so weaker reads may follow. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random

from playwright.async_api import async_playwright

from demo.catalogue import SITES, items
from demo.compose import Demo, Options, running
from demo.dock import Dock
from demo.shelves import Printer
from runtime import Clock, SystemRuntime

#: Seconds between two looks at a ledger: short against what is measured.
LOOK_S = 0.004
#: Cases on a measured pallet.
CASES = 8
#: Seconds after the last pallet until what has not come is called missing.
REST_S = 20.0

#: Keeps when each row of the feed came into the document, by the address of its movement.
OBSERVER = """
window.seen = {};
const look = () => document.querySelectorAll("tr[data-position] a.why").forEach(
  (link) => { const name = link.getAttribute("href"); if (!(name in window.seen)) window.seen[name] = Date.now() / 1000; });
new MutationObserver(look).observe(document, {childList: true, subtree: true});
document.addEventListener("DOMContentLoaded", look);
"""


class Commits(threading.Thread):
    """Notes when each row of a ledger can be read by others."""

    def __init__(self, ledger: Path) -> None:
        super().__init__(daemon=True)
        self.at: dict[int, float] = {}
        self.stop = threading.Event()
        self._ledger = ledger

    def run(self) -> None:
        with contextlib.closing(sqlite3.connect(f"file:{self._ledger}?mode=ro", uri=True)) as connection:
            known = last(connection)
            while not self.stop.wait(LOOK_S):
                now, head = time.time(), last(connection)
                self.at |= dict.fromkeys(range(known + 1, head + 1), now)
                known = head


def last(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM ledger").fetchone()[0])


def read_at(ledger: Path, clock: Clock) -> dict[int, float]:
    """When the last read of each movement at a door was, real seconds, by seq."""
    found: dict[int, float] = {}
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        for seq, body in connection.execute("SELECT seq, body FROM ledger ORDER BY seq DESC LIMIT 5000"):
            record = json.loads(body)
            if record["record"].startswith("movement") and "read_point" in record:
                found[seq] = (clock.origin_us + (record["occurred_at"] - clock.start_us) / clock.factor) / 1e6
    return found


async def send(demo: Demo, passages: int) -> None:
    """Pallets through all doors of all sites, as fast as doors allow."""
    runtime, printer, random, catalogue = SystemRuntime(demo.clock), Printer(), Random(1), items(1)

    async def at(site: str, doors: tuple[str, str], count: int) -> None:
        dock = Dock(runtime, demo.controls[site], doors)
        for _ in range(count):
            item = random.choice(catalogue)
            # far from the serials of the demo's own traffic
            epcs = [printer.epc(item.case_gtin, 500_000 + printer.serial(item.case_gtin)) for _ in range(CASES)]
            crossing = await dock.send("out", epcs)
            await asyncio.sleep(max(0.0, (crossing - runtime.now()) / demo.clock.factor / 1e6 - 8.0))

    each = -(-passages // len(SITES))
    await asyncio.gather(*(at(site.id, site.doors, each) for site in SITES))


async def measure(passages: int, speed: float) -> dict[str, object]:
    folder = Path(tempfile.mkdtemp(prefix="evercount-latency-"))
    try:
        say = lambda text: print(text, file=sys.stderr)  # noqa: E731
        async with running(folder, Options(speed=speed), say) as demo, async_playwright() as playwright:
            ledgers = {site.id: folder / site.id / "var" / "ledger.db" for site in SITES}
            commits = {site: Commits(ledger) for site, ledger in ledgers.items()}
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
            page = await browser.new_page()
            await page.goto(demo.link)
            await page.get_by_role("button", name="Sign in").click()
            await page.wait_for_url(demo.addresses[0].url + "/")
            await page.add_init_script(OBSERVER)
            await page.goto(demo.addresses[0].url + "/live")
            for one in commits.values():
                one.start()
            began = time.time()
            await send(demo, passages)
            await asyncio.sleep(REST_S)
            seen: dict[str, float] = await page.evaluate("window.seen")
            await browser.close()
            for one in commits.values():
                one.stop.set()
                one.join()
            return report(
                seen,
                {site: one.at for site, one in commits.items()},
                {site: read_at(ledger, demo.clock) for site, ledger in ledgers.items()},
                began,
                speed,
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(
    seen: dict[str, float],
    commits: dict[str, dict[int, float]],
    reads: dict[str, dict[int, float]],
    began: float,
    speed: float,
) -> dict[str, object]:
    after_commit: list[float] = []
    after_read: list[float] = []
    commit_after_read: list[float] = []
    missing = 0
    shown = {
        (found[1], int(found[2])): at for name, at in seen.items() if (found := re.search(r"/([^/]+)/\d+/(\d+)$", name))
    }
    for site, of_site in reads.items():
        for seq, read in of_site.items():
            if read < began or seq not in commits[site]:
                continue
            if (site, seq) not in shown:
                missing += 1
                continue
            after_commit.append(shown[site, seq] - commits[site][seq])
            after_read.append(shown[site, seq] - read)
            commit_after_read.append(commits[site][seq] - read)
    return {
        "passages": len(after_read),
        "missing": missing,
        "speed": speed,
        "commit_to_page_s": summary(after_commit),
        "last_read_to_page_s": summary(after_read),
        "last_read_to_commit_s": summary(commit_after_read),
    }


def summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)  # noqa: E731
    return {"p50": at(0.5), "p95": at(0.95), "max": at(1.0)} if ordered else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=50)
    parser.add_argument("--speed", type=float, default=1.0)
    options = parser.parse_args()
    with asyncio.Runner() as runner:
        print(json.dumps(runner.run(measure(options.passages, options.speed)), indent=2))


if __name__ == "__main__":
    main()
