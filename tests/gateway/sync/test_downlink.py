"""Advice comes back: kept whole, refused whole, and every command done once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from cloud_stand_in import CloudStandIn
from ledger_help import AT
from virtual import AsgiTransport, VirtualRuntime

from gateway.errors import EnrolmentError, GatewayError, NotEnrolledError, PostingError
from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.sync.downlink import DownlinkClient, KeptDownlink, fault_in, kept_path
from gateway.sync.enrolment import apply_opening, enrol
from gateway.sync.http import Cloud
from gateway.sync.identity import load_enrolment, load_or_make_identity
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import AnyIntent, Identified, OpeningStocked, Recorded, SnapshotTold
from vocabulary.document import Document
from vocabulary.item import Item, PackagingLevel
from vocabulary.movement import Line, Movement
from vocabulary.place import Account, Place
from vocabulary.records import CommandResult, Record, decode
from vocabulary.wire import (
    BalanceLine,
    Command,
    Conflict,
    DecideException,
    Downlink,
    IdentifyItem,
    OpeningPage,
    OpeningStock,
)

NEVER = 2**53


def post(state: object, intent: AnyIntent) -> tuple[Record, ...]:
    """Notes what it was asked by one movement per intent; an item `wrong` is refused."""
    if isinstance(intent, Recorded):
        return (intent.record,)
    if isinstance(intent, Identified) and intent.item == "wrong":
        raise PostingError("there is no item wrong")
    lines: tuple[Line, ...] = (Line(type(intent).__name__, 1),)
    if isinstance(intent, OpeningStocked):
        lines = tuple(Line(line.item, line.quantity) for line in intent.lines)
    if isinstance(intent, SnapshotTold):
        lines = tuple(Line(line.item, line.quantity) for line in intent.balances)
    return (Movement("counting", Account("opening"), Account("dock"), intent.occurred_at, lines=lines),)


@asynccontextmanager
async def gateway(folder: Path, server: CloudStandIn, runtime: VirtualRuntime) -> AsyncIterator[SimpleNamespace]:
    identity = load_or_make_identity(folder, runtime)
    server.keys[identity.gateway] = identity.key.public_key()
    cloud = Cloud("http://hq", identity, runtime, AsgiTransport(server))
    writer = await LedgerWriter.open(folder / "ledger.db", runtime, post)
    catalogues: list[Catalogue] = []
    client = DownlinkClient(cloud, "north", writer, runtime, catalogues.append)
    tasks: list[asyncio.Task[None]] = []

    async def records() -> list[Record]:
        reader = await LedgerReader.open(writer.path)
        rows = await reader.rows(1, 10_000, 1 << 30)
        await reader.close()
        return [decode(row.body) for row in rows]

    try:
        yield SimpleNamespace(
            cloud=cloud,
            identity=identity,
            writer=writer,
            client=client,
            catalogues=catalogues,
            records=records,
            start=lambda: tasks.append(asyncio.create_task(client.run())),
        )
    finally:
        for task in tasks:
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(outcome, asyncio.CancelledError), outcome
        await writer.close()
        await cloud.close()


APPLES = Item("apples", "Apples")
GOOD = Downlink(
    "v1",
    items=(APPLES,),
    packaging=(PackagingLevel("09506000134352", "apples", 24),),
    places=(Place("north", "site"), Place("dock", "dock", "north")),
    documents=(Document("ASN-1", 1, "expected-receipt", "open"),),
)


async def test_a_change_arrives_within_moments_and_idle_polls_are_few(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = CloudStandIn()
    async with gateway(tmp_path, server, runtime) as box:
        box.start()
        await asyncio.sleep(3_600)
        assert 100 < len(server.requests) < 150
        server.tell(GOOD)
        await asyncio.sleep(0.1)
        assert box.catalogues[-1].packaging["09506000134352"].quantity == 24
        assert (box.client.state, box.client.etag) == ("online", "v1")


async def test_the_last_good_one_survives_a_restart_and_a_bad_one(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = CloudStandIn()
    async with gateway(tmp_path, server, runtime) as box:
        assert box.client.load() is False
        box.start()
        server.tell(GOOD)
        await asyncio.sleep(1)
        for raw in (b"{", b'{"version":"v2","colour":"red"}', b'{"version":"v2","documents":[{"id":1}]}'):
            server.tell(Downlink("v2"), raw)
            await asyncio.sleep(90)
            assert box.client.state == "refused"
            assert "last good one stays" in box.client.reason
        assert box.catalogues[-1].items == {"apples": APPLES}
    async with gateway(tmp_path, server, runtime) as box:
        assert box.client.load() is True
        assert (box.client.etag, box.catalogues[-1].items) == ("v1", {"apples": APPLES})
    (tmp_path / "downlink.json").write_text("garbage")
    async with gateway(tmp_path, server, runtime) as box:
        with pytest.raises(GatewayError, match="remove it"):
            box.client.load()


@pytest.mark.parametrize(
    ("downlink", "words"),
    [
        (Downlink("v", packaging=(PackagingLevel("09506000134352", "pears", 1),)), "pears, which is not among"),
        (Downlink("v", items=(APPLES,), packaging=(PackagingLevel("1", "apples", 1),)), "14 digits"),
        (Downlink("v", places=(Place("dock", "dock", "north"),)), "stands in north"),
        (Downlink("v", documents=(GOOD.documents[0], GOOD.documents[0])), "one id"),
    ],
)
def test_what_makes_no_sense_is_named(downlink: Downlink, words: str) -> None:
    assert words in str(fault_in(downlink))
    assert fault_in(GOOD) is None


async def test_every_command_is_done_once_and_its_result_is_a_record(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = CloudStandIn()
    commands = (
        Command("c1", NEVER, OpeningStock((BalanceLine(Account("dock"), "apples", 5),), AT)),
        Command("c2", NEVER, IdentifyItem("gtin:1", "wrong")),
        Command("c3", 1, IdentifyItem("gtin:1", "apples")),
        Command("c4", NEVER, DecideException("no-document", "x", "decided", "it was ours", "anna")),
    )
    async with gateway(tmp_path, server, runtime) as box:
        box.start()
        for version in ("v1", "v2", "v3"):
            server.tell(Downlink(version, commands=commands))
            await asyncio.sleep(1)
        kinds = [record for record in await box.records() if isinstance(record, CommandResult)]
        assert [(result.command, result.result) for result in kinds] == [
            ("c1", "done"),
            ("c2", "refused"),
            ("c3", "expired"),
            ("c4", "done"),
        ]
        assert kinds[1].text == "there is no item wrong"
        assert len(await box.records()) == 6
    async with gateway(tmp_path, server, runtime) as box:  # the same commands, after a restart
        box.client.load()
        box.start()
        await asyncio.sleep(60)
        assert len(await box.records()) == 6


async def test_a_kept_command_is_done_only_when_headquarters_still_asks_for_it(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    soon = runtime.now() + 3_600_000_000
    done, open_, expiring = (
        Command(name, at, IdentifyItem("gtin:1", "apples"))
        for name, at in (("done", NEVER), ("open", NEVER), ("expiring", soon))
    )
    kept = KeptDownlink("v1", Downlink("v1", items=(APPLES,), commands=(done, open_, expiring)))
    kept_path(tmp_path / "ledger.db").write_bytes(msgspec.json.encode(kept))
    server = CloudStandIn()
    server.tell(Downlink("v2", items=(APPLES,), commands=(open_, expiring)))  # the lost card had done the other one
    server.refuse_downlink = Conflict("gap", "no link yet", 409)
    async with gateway(tmp_path, server, runtime) as box:
        assert box.client.load() is True
        box.start()
        await asyncio.sleep(4_000)
        assert await box.records() == []
        server.refuse_downlink = None
        await asyncio.sleep(700)
        results = [record for record in await box.records() if isinstance(record, CommandResult)]
        assert [(one.command, one.result) for one in results] == [("open", "done"), ("expiring", "expired")]


async def test_expiry_is_judged_by_headquarters_time(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = CloudStandIn()
    server.clock_offset_us = 30 * 86_400_000_000  # this box has slept for a month of its clock
    command = Command("c1", runtime.now() + 86_400_000_000, IdentifyItem("gtin:1", "apples"))
    server.tell(Downlink("v1", commands=(command,)))
    async with gateway(tmp_path, server, runtime) as box:
        box.start()
        await asyncio.sleep(5)
        (result,) = await box.records()
        assert isinstance(result, CommandResult)
        assert result.result == "expired"


@pytest.mark.parametrize("by", ["downlink", "conflict"])
async def test_a_revoked_gateway_says_so(tmp_path: Path, runtime: VirtualRuntime, by: str) -> None:
    server = CloudStandIn()
    if by == "downlink":
        server.tell(Downlink("v9", revoked=True))
    else:
        server.refuse_downlink = Conflict("revoked", "another gateway speaks for this site", 409)
    async with gateway(tmp_path, server, runtime) as box:
        box.start()
        await asyncio.sleep(5)
        assert box.client.state == "revoked"
        assert box.catalogues == []


async def test_enrolment_makes_this_the_gateway_of_a_site(tmp_path: Path, runtime: VirtualRuntime) -> None:
    server = CloudStandIn()
    async with gateway(tmp_path, server, runtime) as box:
        with pytest.raises(NotEnrolledError, match="evercount-gateway enrol"):
            load_enrolment(tmp_path)
        epoch = box.writer.head.epoch
        with pytest.raises(EnrolmentError, match="not known or was used; ask headquarters for a new one"):
            await enrol(box.cloud, box.identity, "WRONG", epoch, tmp_path)
        record = await enrol(box.cloud, box.identity, " CODE-1\n", epoch, tmp_path)
        assert (record.enrolled.site, record.enrolled.gateway) == ("north", box.identity.gateway)
        assert load_enrolment(tmp_path) == record


async def test_the_opening_stock_is_posted_once_however_often_it_is_interrupted(
    tmp_path: Path, runtime: VirtualRuntime
) -> None:
    server = CloudStandIn()
    server.opening = [
        OpeningPage(page, 3, (BalanceLine(Account("dock"), f"item-{page}", page + 1),), ()) for page in range(3)
    ]
    async with gateway(tmp_path, server, runtime) as box:
        record = await enrol(box.cloud, box.identity, "CODE-1", box.writer.head.epoch, tmp_path)
        server.script.extend([(503, {}, b"")])
        with pytest.raises(GatewayError, match="page 0"):
            await apply_opening(box.cloud, record, box.writer, runtime)
        assert await apply_opening(box.cloud, record, box.writer, runtime) == 3
        assert await apply_opening(box.cloud, record, box.writer, runtime) == 0
        items = [line.item for record in await box.records() if isinstance(record, Movement) for line in record.lines]
        assert items == ["item-0", "item-1", "item-2"]


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path, runtime: VirtualRuntime) -> None:
    first = load_or_make_identity(tmp_path, runtime)
    assert load_or_make_identity(tmp_path, runtime).public_key == first.public_key
    key = tmp_path / "identity.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o644)
    with pytest.raises(GatewayError, match="chmod 600"):
        load_or_make_identity(tmp_path, runtime)
    key.chmod(0o600)
    key.write_text("not hex")
    with pytest.raises(GatewayError, match="enrol anew"):
        load_or_make_identity(tmp_path, runtime)
