"""Enrolment: a one-time code makes this gateway the one that speaks for a site; what the site holds comes first."""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec

from gateway.errors import EnrolmentError, LinkDownError
from gateway.ledger.writer import LedgerWriter
from gateway.sync.http import Cloud
from gateway.sync.identity import EnrolmentRecord, Identity, store_enrolment
from gateway.sync.opening import open_ledger
from runtime import Runtime
from vocabulary.wire import Enrolled, Enrolment


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
    """Post what headquarters holds of the site, before any reader is connected; the pages posted by this call.

    It is posted once for each enrolment, however often this is interrupted. Raises LinkDownError.
    """
    if not record.enrolled.opening_pages:
        return 0
    return await open_ledger(cloud, writer, runtime, f"opening/{cloud.gateway}/{record.enrolled.server_time}")


JSON = {"content-type": "application/json"}
