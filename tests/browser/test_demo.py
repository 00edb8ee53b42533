"""The loop, whole, in a real browser: a pallet passes a door, a proposal is accepted and comes back through the door."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from demo.catalogue import SITES
from demo.compose import Demo, Options, running

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
#: Milliseconds until a pallet must have passed some door, and until an accepted order must have come back.
PASSES_MS, COMES_BACK_MS = 90_000, 180_000


class Watcher:
    """A person with a browser, who keeps pictures."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page, self.url, self._pictures = page, url, pictures
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)

    async def picture(self, name: str) -> None:
        await self.page.screenshot(path=self._pictures / f"{name}.png")

    async def stock(self) -> dict[tuple[str, str], int]:
        """What the first page says of each item at each site."""
        await self.page.goto(self.url)
        cells = await self.page.eval_on_selector_all(
            "tr[data-item] td[data-site]:not([data-site=''])",
            "all => all.map(cell => [cell.closest('tr').dataset.item, cell.dataset.site, cell.innerText])",
        )
        return {(item, site): number(text) for item, site, text in cells}


def number(text: str) -> int:
    found = re.match(r"[-\u2212]?[\d\s\u202f\u00a0]+", text)
    return int(re.sub(r"[^\d-]", "", found[0].replace("\u2212", "-"))) if found else 0


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


async def test_the_loop_closes_in_the_browser(tmp_path: Path) -> None:
    pictures = made(Path(os.environ.get("EVERCOUNT_SCREENSHOTS", tmp_path / "pictures")))
    folder = made(tmp_path / "demo")
    async with running(folder, Options(), print) as demo, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        watcher = Watcher(page, demo.addresses[0].url, pictures)
        await signs_in(watcher, demo)
        await sees_a_pallet_pass_and_stock_change(watcher)
        await accepts_and_gets_what_was_ordered(watcher)
        await looks_at_the_site(watcher, demo)
        assert watcher.complaints == []
        await browser.close()
        urls = [address.url for address in demo.addresses]
    for url in urls:
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", int(re.findall(r":(\d+)", url)[0]))):
            pass
    await everything_agrees(folder)


async def signs_in(watcher: Watcher, demo: Demo) -> None:
    await watcher.page.goto(demo.link)
    await watcher.page.get_by_role("button", name="Sign in").click()
    await expect(watcher.page.get_by_role("heading", name="Stock")).to_be_visible()
    await watcher.picture("1-stock")


async def sees_a_pallet_pass_and_stock_change(watcher: Watcher) -> None:
    page = watcher.page
    before = await watcher.stock()
    await page.goto(watcher.url + "/live")
    row = page.locator("tr.new").first
    await expect(row).to_be_visible(timeout=PASSES_MS)
    await expect(row.locator("td").last).to_contain_text("%")  # the door's confidence: nobody typed it
    site, item = (
        await row.get_attribute("data-site"),
        await row.locator("a[href^='/items/']").first.get_attribute("href"),
    )
    assert site is not None
    assert item is not None
    await watcher.picture("2-live")
    await row.locator("a.why").click()
    await expect(page.locator("main")).to_contain_text("dock-door")
    await watcher.picture("3-why")
    name = item.removeprefix("/items/").partition("?")[0]
    after = await watcher.stock()
    assert after[name, site] != before[name, site]
    await page.goto(watcher.url + item)
    await expect(page.locator("canvas").first).to_be_visible()
    await watcher.picture("4-item")


async def accepts_and_gets_what_was_ordered(watcher: Watcher) -> None:
    page = watcher.page
    await page.goto(watcher.url + "/recommendations")
    cards = page.locator("article.proposal")
    await expect(cards.first).to_be_visible()
    await watcher.picture("5-proposals")
    quantities = [
        number(await cards.nth(index).locator(".what b").first.inner_text()) for index in range(await cards.count())
    ]
    card = cards.nth(quantities.index(min(quantities)))
    name = await card.get_attribute("id")
    item = await card.locator("h2 a").get_attribute("href")
    assert name is not None
    assert item is not None
    site = item.rpartition("site=")[2]
    await page.goto(f"{watcher.url}/recommendations/{site}/{name}")
    card = page.locator(f"#{name}")
    await card.get_by_role("button", name="Accept").click()
    await expect(card).to_contain_text("PO-" + name.removeprefix("REC-"))
    await watcher.picture("6-accepted")
    await expect(card).to_contain_text("notice", timeout=COMES_BACK_MS)
    await expect(card.locator("header")).to_contain_text("fulfilled", timeout=COMES_BACK_MS)
    await watcher.picture("7-fulfilled")
    await page.goto(f"{watcher.url}/documents/{site}/ASN-PO-{name.removeprefix('REC-')}")
    await expect(page.locator("main")).to_contain_text("complete")
    await expect(page.locator("main")).to_contain_text("receiving")
    await watcher.picture("8-delivery")


async def looks_at_the_site(watcher: Watcher, demo: Demo) -> None:
    await watcher.page.goto(demo.addresses[1].url)
    await expect(watcher.page.locator("body")).to_contain_text("headquarters online")
    await watcher.picture("9-station")


async def everything_agrees(folder: Path) -> None:
    """The ledgers are whole, and what headquarters derived of them is what a rebuild derives."""
    for site in SITES:
        await succeeds("gateway", "verify-ledger", str(folder / site.id / "var" / "ledger.db"))
    await succeeds("cloud", "--config", str(folder / "cloud.toml"), "verify")


async def succeeds(*command: str) -> None:
    done = await asyncio.get_running_loop().run_in_executor(
        None,
        lambda: subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False),
    )
    assert done.returncode == 0, done.stdout + done.stderr
