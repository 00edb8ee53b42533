"""Enrolment: a one-time code makes this gateway the one that speaks for a site; what the site holds comes first."""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec

from gateway.errors import EnrolmentError, LinkDownError
from gateway.ledger.writer import LedgerWriter
from gateway.sync.http import Cloud
from gateway.sync.identity import EnrolmentRecord, Identity, store_enrolment
from gateway.transactions.intents import OpeningStocked, Origin, Recorded
from runtime import Runtime
from vocabulary.records import CommandResult
from vocabulary.wire import OPENING_SNAPSHOT, Enrolled, Enrolment, OpeningPage


async def enrol(cloud: Cloud, identity: Identity, code: str, epoch: int, folder: Path) -> EnrolmentRecord:
    """Hand in `code` with our public key and the ledger's epoch, and keep the answer in `folder`.

    Raises EnrolmentError when headquarters does not accept it, LinkDownError when it cannot be reached.
    """
    ask = Enrolment(code.strip(), identity.public_key, str(epoch), platform.machine())
    answer = await cloud.ask("POST", "/v1/enrolments", body=msgspec.json.encode(ask), headers=JSON, signed=False)
    if answer.status >= 500 or answer.status == 429:
        raise LinkDownError(f"{cloud.url} cannot enrol now: {answer.reason}")
    if answer.status >= 300:
        raise EnrolmentError(f"{cloud.url} did not accept the code: {answer.reason}; ask headquarters for a new one")
    try:
        enrolled = msgspec.json.decode(answer.body, type=Enrolled)
    except msgspec.DecodeError as error:
        raise EnrolmentError(f"{cloud.url} is no Evercount headquarters ({error}): check the address") from error
    if enrolled.gateway != identity.gateway:
        raise EnrolmentError(f"{cloud.url} answered for gateway {enrolled.gateway}, not for {identity.gateway}")
    record = EnrolmentRecord(cloud.url, enrolled)
    store_enrolment(folder, record)
    return record


async def apply_opening(cloud: Cloud, record: EnrolmentRecord, writer: LedgerWriter, runtime: Runtime) -> int:
    """Post the site's present stock, page by page, before any reader is connected; the pages posted by this call.

    A page is posted once, however often this is interrupted: its mark stands in the same commit. Raises LinkDownError.
    """
    posted = 0
    for page in range(record.enrolled.opening_pages):
        mark = f"opening/{cloud.gateway}/{page}"
        if await writer.was_executed(mark):
            continue
        answer = await cloud.ask("GET", f"/v1/gateways/{cloud.gateway}/opening", query={"page": page})
        if answer.status != 200:
            raise LinkDownError(f"{cloud.url} did not send page {page} of the opening stock: {answer.reason}")
        try:
            opening = msgspec.json.decode(answer.body, type=OpeningPage)
        except msgspec.DecodeError as error:
            raise LinkDownError(f"{cloud.url}: page {page} of the opening stock cannot be read: {error}") from error
        now = runtime.now()
        done = Recorded(occurred_at=now, record=CommandResult(mark, now, "done"))
        if opening.balances:
            stocked = OpeningStocked(occurred_at=now, lines=opening.balances, origin=Origin(rule=OPENING_SNAPSHOT))
            await writer.submit(stocked, done)
        else:
            await writer.submit(done)
        posted += 1
    return posted


JSON = {"content-type": "application/json"}
