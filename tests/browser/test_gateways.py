"""The gateways' page in a real browser: lag, clock, disk, branches and a possible clone, wide and on a phone."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from playwright.async_api import expect
from test_pages import Bench, bench, pytestmark  # noqa: F401 - the bench is a fixture, the mark is this file's too

from vocabulary import chain
from vocabulary.wire import DeviceStatus, Status

#: A phone's screen, CSS pixels.
PHONE = {"width": 390, "height": 844}


@pytest.fixture
async def troubled(bench: Bench) -> Bench:  # noqa: F811
    """North runs on a copied card, its clock is not trusted and its disk low; its ledger grew a second branch."""
    gateway = bench.network.gateways["north"]
    now = bench.network.headquarters.runtime.now()
    devices = (
        DeviceStatus("door-1", "reading", 212.4, 1_234_567, 0),
        DeviceStatus("door-2", "unreachable", 0.0, 17, 4, "192.0.2.7:5084 refuses the connection"),
    )
    status = Status(
        now, "0.1.0", len(gateway.bodies) + 4_120, clock_trusted=False, disk_free=2_400_000_000, devices=devices,
        open_exceptions=4, instance="a", oldest_unsent=now - 5_400_000_000, disk="low", disk_days=11,
        checked_at=now - 86_400_000_000,
    )  # fmt: skip
    end = len(gateway.bodies)
    for instance in ("a", "b", "a", "b"):
        answer = await gateway.push(end + 1, end, status=msgspec.structs.replace(status, instance=instance))
        assert answer.status_code == 200, answer.text
    common = chain.head(chain.genesis(gateway.epoch), gateway.bodies[: end - 2]).hex()
    parent = (str(gateway.epoch), end - 2, common)
    answer = await gateway.push(end - 1, end - 1, epoch="884422117733", parent=parent, status=status)
    assert answer.status_code == 200, answer.text
    return bench


async def test_trouble_of_a_gateway_is_plain_to_see(troubled: Bench, tmp_path: Path) -> None:
    folder = Path(os.environ.get("EVERCOUNT_PICTURES", tmp_path))
    page = await troubled.sign_in(await troubled.browser.new_context(), "maria")
    await page.goto(troubled.url + "/gateways")
    card = page.locator('article[data-site="north"]')
    await expect(card.locator("[data-alarm=gateway-clone]")).to_be_visible()
    await expect(card.locator("[data-behind]")).to_contain_text("4 121 records, 90 min".replace(" ", "\u202f", 1))
    await expect(card.locator("[data-disk=low]")).to_contain_text("full in 11 days")
    await expect(card.locator("[data-chain]")).to_contain_text("checked")
    await expect(card).to_contain_text("not trusted")
    await expect(card.get_by_text("2 branches of the ledger")).to_be_visible()
    await expect(card.locator("table[data-branches] tbody tr")).to_have_count(2)
    await page.screenshot(path=folder / "gateways.png", full_page=True)
    await page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    wider = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0
    await page.screenshot(path=folder / "gateways-phone.png", full_page=True)
    assert page.complaints == []  # type: ignore[attr-defined]
