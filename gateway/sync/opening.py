"""What headquarters holds of the site, read in pages of one state and taken over in one commit.

So a gateway opens that replaces another one, and so one is made whole that lacks rows which headquarters has: after a fork,
or after a damaged file was recovered. It can be interrupted anywhere and done again: what is there already posts nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from gateway.errors import LedgerUnavailableError, LinkDownError
from gateway.ledger.balances import rows_after
from gateway.ledger.file import LedgerFile
from gateway.ledger.writer import LedgerWriter
from gateway.sync.http import Cloud
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import AnyIntent, Origin, Recorded, SnapshotTold
from runtime import Runtime
from vocabulary.records import CommandResult, decode
from vocabulary.wire import OPENING_SNAPSHOT, OpeningPage

#: How often the pages are read again when headquarters' state changed between them; then the caller tries later.
TRIES = 5


class Snapshot(NamedTuple):
    """All pages of one state. Of the rows of `epoch` those up to `seq` are in it."""

    epoch: int
    seq: int
    pages: tuple[OpeningPage, ...]


class _MovedOnError(Exception):
    """Headquarters' state changed between two pages, or the ledger's epoch since."""


async def reconcile(cloud: Cloud, writer: LedgerWriter, runtime: Runtime, reason: str) -> int:
    """Bring this ledger to what headquarters holds, keeping rows that headquarters does not hold yet; the rows posted.

    Afterwards the balances of the site's places are headquarters', once all rows have arrived there. Forgets that it was
    wanted (position `reconcile`). Raises LinkDownError, LedgerUnavailableError; then nothing was posted.
    """
    return await _take_over(cloud, writer, runtime, reason, "")


async def open_ledger(cloud: Cloud, writer: LedgerWriter, runtime: Runtime, mark: str) -> int:
    """The opening snapshot of a new enrolment, posted once: `mark` stands in the same commit. Returns the pages.

    Raises LinkDownError, LedgerUnavailableError.
    """
    if await writer.was_executed(mark):
        return 0
    return await _take_over(cloud, writer, runtime, "", mark)


async def _take_over(cloud: Cloud, writer: LedgerWriter, runtime: Runtime, reason: str, mark: str) -> int:
    for _ in range(TRIES):
        try:
            snapshot = await _fetch(cloud, writer)
            now = runtime.now()
            posted = await writer.perform(
                lambda file, snapshot=snapshot, now=now: _post(file, snapshot, now, reason, mark)
            )
        except _MovedOnError:
            continue
        return len(snapshot.pages) if mark else posted
    raise LinkDownError(f"{cloud.url}: the site's stock changed while it was read; it is read again later")


async def _fetch(cloud: Cloud, writer: LedgerWriter) -> Snapshot:
    """All pages, of one state."""
    branch = writer.branch
    pages: list[OpeningPage] = []
    while not pages or len(pages) < pages[0].pages:
        page = await _page(cloud, len(pages), branch.epoch)
        if pages and (page.position, page.pages) != (pages[0].position, pages[0].pages):
            raise _MovedOnError
        pages.append(page)
    seq = pages[0].seq
    if seq < branch.parent_seq:
        raise LinkDownError(f"{cloud.url} does not hold the rows of this ledger's branch yet; they are pushed first")
    return Snapshot(branch.epoch, seq, tuple(pages))


async def _page(cloud: Cloud, page: int, epoch: int) -> OpeningPage:
    query: dict[str, str | int] = {"page": page, "epoch": str(epoch)}
    answer = await cloud.ask("GET", f"/v1/gateways/{cloud.gateway}/opening", query=query)
    if answer.status == 404 and page:
        raise _MovedOnError
    if answer.status != 200:
        raise LinkDownError(f"{cloud.url} did not send page {page} of the opening stock: {answer.reason}")
    try:
        return msgspec.json.decode(answer.body, type=OpeningPage)
    except msgspec.DecodeError as error:
        raise LinkDownError(f"{cloud.url}: page {page} of the opening stock cannot be read: {error}") from error


def _post(file: LedgerFile, snapshot: Snapshot, now: int, reason: str, mark: str) -> int:
    """In the writing thread, between two commits: what the ledger holds beyond the snapshot cannot change meanwhile."""
    if file.branch.epoch != snapshot.epoch:
        raise _MovedOnError
    beyond = tuple(decode(body) for _, body in rows_after(file.connection, snapshot.seq))
    pages = snapshot.pages
    intents: list[AnyIntent] = [
        SnapshotTold(
            occurred_at=now,
            origin=Origin(rule=OPENING_SNAPSHOT, actor=reason),
            since=pages[0].since or now,
            balances=tuple(line for page in pages for line in page.balances),
            units=tuple(line for page in pages for line in page.units),
            counts=tuple(count for page in pages for count in page.counts),
            documents=tuple(document for page in pages for document in page.documents),
            done=tuple(line for page in pages for line in page.done),
            exceptions=tuple(exception for page in pages for exception in page.exceptions),
            beyond=beyond,
            taken_back=pages[0].taken_back,
        )
    ]
    if mark:
        intents.append(Recorded(occurred_at=now, record=CommandResult(mark, now, "done")))
    (outcome,) = file.commit([intents], Catalogue())
    if isinstance(outcome, Exception):
        raise LedgerUnavailableError(f"what headquarters holds was not recorded: {outcome}") from outcome
    file.connection.execute("DELETE FROM position WHERE name = 'reconcile'")
    return len(outcome.records)
