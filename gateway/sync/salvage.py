"""Salvage: what a dead gateway's card still holds and headquarters never got is recorded by the gateway that took over.

`examine` reads the card and asks headquarters for the last row that it holds; `hand_over` leaves the facts behind that row in
the data folder, in a file of their own; `Inbox`, in the running gateway, records them, each once, and puts the file aside.
docs/decisions/0011-salvage-and-takeover.md has the rules and their reasons.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import structlog

from gateway.errors import GatewayError, LedgerUnavailableError, LinkDownError, NotEnrolledError
from gateway.ledger.packing import unpack
from gateway.ledger.pages import FoundRow
from gateway.ledger.recovery import readable_rows
from gateway.ledger.writer import LedgerWriter
from gateway.sync.card_rows import keep_at_headquarters, tail_of
from gateway.sync.http import Cloud
from gateway.sync.identity import load_enrolment, write_whole
from gateway.sync.salvaged import CardRow, facts_in
from gateway.transactions.intents import AnyIntent, Recorded, Salvaged
from runtime import Runtime
from vocabulary.count import Count
from vocabulary.exception import ExceptionRecord
from vocabulary.movement import Movement
from vocabulary.records import CommandResult, Record, decode
from vocabulary.wire import Head

#: Folder beside the ledger through which facts are handed to the gateway.
FOLDER = "salvage"
#: Seconds between two looks into it: a technician waits for the answer.
LOOK_S = 2.0
#: Facts in one commit: the writer takes others in between, and a row that posting refuses costs one more try of so many.
CHUNK = 25


class Salvage(msgspec.Struct):
    """What a card holds. `held`: the last row that headquarters holds too; `lost` ranges of rows that cannot be read;
    `kept` rows behind `held` that headquarters now keeps as they are, as epoch `kept_as`."""

    path: str
    site: str
    epoch: str
    rows: int
    last: int
    held: int
    lacking: int
    movements: int
    counts: int
    others: int
    lost: list[tuple[int, int]]
    handed_to: str = ""
    kept: int = 0
    kept_as: str = ""


class _Header(msgspec.Struct, frozen=True):
    """The first line of a handed file."""

    site: str
    epoch: str
    facts: int


def read_card(db: Path) -> list[FoundRow]:
    """The readable rows of the ledger at `db`, in order, each with the label of its branch.

    Raises GatewayError where there is no ledger, or nothing of it can be read.
    """
    if not db.is_file():
        raise GatewayError(f"{db} does not exist: name the dead gateway's ledger, such as /media/card/ledger.db")
    try:
        rows = list(readable_rows(db))
    except OSError as error:
        raise GatewayError(f"{db} cannot be read: {error}") from error
    label = next((row.epoch for row in rows if row.epoch), 0)
    named: list[FoundRow] = []
    for row in rows:
        label = row.epoch or label  # a damaged page may have lost it
        named.append(row._replace(epoch=label, body=unpack(row.body)))
    return named


def look(db: Path) -> Salvage:
    """What the card at `db` holds, without asking headquarters: all of it counts as not yet told. Raises GatewayError."""
    rows = read_card(db)
    card = [CardRow(row.seq, row.epoch, record) for row in rows if (record := _record(row)) is not None]
    try:
        site = load_enrolment(db.parent).enrolled.site
    except GatewayError:
        site = ""
    return _summary(db, site, rows, card, 0, facts_in(card, 0))


async def examine(
    db: Path, cloud: Cloud, site: str, own_epoch: int, *, keep: bool = False
) -> tuple[Salvage, list[Salvaged]]:
    """What the card at `db` holds, and the facts that headquarters lacks. `site` and `own_epoch` are the survivor's.

    `keep` hands its rows to headquarters as they are, for the record. Done again it goes on where it was cut off.
    Raises GatewayError when it is the survivor's own ledger, another site's or none; LinkDownError.
    """
    rows = read_card(db)
    if rows[-1].epoch == own_epoch:
        raise GatewayError(f"{db} is this gateway's own ledger; name the one of the gateway that died")
    _same_site(db, site)
    held = await _last_held(cloud, rows)
    if held == 0 and not _says_site(db, site):
        raise GatewayError(
            f"{db}: headquarters holds no row of this ledger for site {site}: it belongs to another site, or copy the "
            "enrolment.json of the dead gateway beside it"
        )
    card = [CardRow(row.seq, row.epoch, record) for row in rows if (record := _record(row)) is not None]
    facts = facts_in(card, held)
    found = _summary(db, site, rows, card, held, facts)
    if keep and found.lacking:
        tail = tail_of(rows, held)
        found.kept = await keep_at_headquarters(cloud, site, tail)
        found.kept_as = str(tail.epoch) if found.kept else ""
    return found, facts


def _summary(
    db: Path, site: str, rows: Sequence[FoundRow], card: Sequence[CardRow], held: int, facts: Sequence[Salvaged]
) -> Salvage:
    movements = sum(isinstance(fact.record, Movement) for fact in facts)
    counts = sum(isinstance(fact.record, Count) for fact in facts)
    return Salvage(
        path=str(db),
        site=site,
        epoch=str(rows[-1].epoch),
        rows=len(rows),
        last=rows[-1].seq,
        held=held,
        lacking=sum(row.seq > held for row in rows),
        movements=movements,
        counts=counts,
        others=len(facts) - movements - counts,
        lost=_gaps(card, held),
    )


def _record(row: FoundRow) -> Record | None:
    try:
        return decode(row.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _says_site(db: Path, site: str) -> bool:
    try:
        return load_enrolment(db.parent).enrolled.site == site
    except GatewayError:
        return False


def _same_site(db: Path, site: str) -> None:
    try:
        told = load_enrolment(db.parent).enrolled.site
    except (NotEnrolledError, GatewayError):
        return  # headquarters knows
    if told != site:
        raise GatewayError(
            f"{db} is the ledger of site {told}, this gateway speaks for site {site}; nothing was salvaged"
        )


async def _last_held(cloud: Cloud, rows: Sequence[FoundRow]) -> int:
    """The last row that headquarters holds with the same hash; 0 for none."""
    low, high = -1, len(rows) - 1
    while low < high:
        middle = (low + high + 1) // 2
        query: dict[str, str | int] = {"epoch": str(rows[middle].epoch), "seq": rows[middle].seq}
        answer = await cloud.ask("GET", f"/v1/gateways/{cloud.gateway}/head", query=query)
        if answer.status != 200:
            raise LinkDownError(f"{cloud.url} did not say what it holds of this ledger: {answer.reason}")
        try:
            head = msgspec.json.decode(answer.body, type=Head)
        except msgspec.DecodeError as error:
            raise LinkDownError(f"{cloud.url} answered what cannot be read: {error}") from error
        if head.hash_at and head.hash_at == rows[middle].hash.hex():
            low = middle
        else:
            high = middle - 1
    return rows[low].seq if low >= 0 else 0


def _gaps(rows: Sequence[CardRow], held: int) -> list[tuple[int, int]]:
    """Ranges of rows behind `held` that are missing among `rows`."""
    found: list[tuple[int, int]] = []
    before = held
    for row in rows:
        if row.seq > held:
            if row.seq > before + 1:
                found.append((before + 1, row.seq - 1))
            before = row.seq
    return found


def in_words(found: Salvage, asked: bool = True) -> str:
    """What was found and what happens next, for a technician. `asked`: headquarters said what it holds."""
    lines = [
        f"{found.path}: {found.rows} rows up to {found.last}, of site {found.site or 'unknown'}, epoch {found.epoch}"
    ]
    lines += [f"rows {first} to {last} cannot be read and are lost" for first, last in found.lost]
    told = f"{found.movements} movements, {found.counts} counts, {found.others} others"
    if not asked:
        lines.append(f"they tell of {told}; with --config headquarters is asked what it lacks, and that is recorded")
    elif not found.lacking:
        lines.append("headquarters holds all of them; there is nothing to salvage")
    else:
        lines.append(f"headquarters holds the rows up to {found.held}; the {found.lacking} behind tell of {told}")
        handed = f"handed to the gateway in {found.handed_to}: it records them once, as soon as it runs"
        lines.append(handed if found.handed_to else "nothing was recorded")
        if found.kept:
            lines.append(f"headquarters keeps {found.kept} of these rows as they are, as epoch {found.kept_as}")
        if found.kept_as and found.kept < found.lacking:
            lines.append("the others stand behind damage, where nothing proves their place: keep the card")
    return "\n".join(lines)


def hand_over(folder: Path, salvage: Salvage, facts: Sequence[Salvaged]) -> Path:
    """Leave `facts` for the gateway whose data folder is `folder`; it records them as soon as it runs. Raises OSError."""
    inbox = folder / FOLDER
    inbox.mkdir(exist_ok=True)
    path = inbox / f"{salvage.epoch}-{salvage.last}.facts"
    header = _Header(salvage.site, salvage.epoch, len(facts))
    write_whole(path, b"\n".join(msgspec.json.encode(line) for line in (header, *facts)), mode=0o600)
    return path


class Inbox:
    """Records what was handed over. `changed` is called when something of it was recorded."""

    def __init__(
        self,
        folder: Path,
        site: str,
        writer: LedgerWriter,
        runtime: Runtime,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        #: facts recorded, and facts that posting refused: those are shown as exceptions
        self.recorded = self.refused = 0
        self._folder = folder / FOLDER
        self._site = site
        self._writer = writer
        self._runtime = runtime
        self._changed = changed
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger("salvage")

    async def run(self) -> None:
        """Record what is handed over, for ever; ends only by cancellation."""
        while True:
            try:
                await self.step()
            except (LedgerUnavailableError, OSError) as error:  # tried again: nothing is posted twice
                self._log.error("salvaged facts wait", error=str(error))
            await asyncio.sleep(LOOK_S)

    async def step(self) -> None:
        """Record the files that are there. Raises LedgerUnavailableError, OSError."""
        for path in sorted(self._folder.glob("*.facts")):
            try:
                facts = self._read(path)
            except (GatewayError, msgspec.DecodeError) as error:
                self._log.error("a file of salvaged facts is refused", file=str(path), error=str(error))
                path.rename(path.with_suffix(".refused"))
                continue
            await self._record(facts)
            path.rename(path.with_suffix(".done"))
            self._log.info("salvaged facts are recorded", file=str(path), recorded=self.recorded, refused=self.refused)

    def _read(self, path: Path) -> list[Salvaged]:
        first, *lines = path.read_bytes().split(b"\n")
        header = msgspec.json.decode(first, type=_Header)
        if header.site != self._site or header.facts != len(lines):
            raise GatewayError(f"{path} is for site {header.site} or not whole")
        return [msgspec.json.decode(line, type=Salvaged) for line in lines]

    async def _record(self, facts: Sequence[Salvaged]) -> None:
        done = await self._writer.read(lambda state: {fact.mark for fact in facts if fact.mark in state.commands})
        todo = [fact for fact in facts if fact.mark not in done]
        for start in range(0, len(todo), CHUNK):
            chunk = todo[start : start + CHUNK]
            try:
                await self._writer.submit(*chunk)
                self.recorded += len(chunk)
            except LedgerUnavailableError:
                raise
            except Exception:  # one of them cannot be posted: find it, record the others
                for fact in chunk:
                    await self._record_one(fact)
        if todo:
            await self._changed()

    async def _record_one(self, fact: Salvaged) -> None:
        try:
            await self._writer.submit(fact)
            self.recorded += 1
        except LedgerUnavailableError:
            raise
        except Exception as error:
            self.refused += 1
            now = self._runtime.now()
            shown: list[AnyIntent] = [
                Recorded(occurred_at=now, record=_refusal(fact, now, error)),
                Recorded(occurred_at=now, record=CommandResult(fact.mark, now, "refused", str(error)[:500])),
            ]
            await self._writer.submit(*shown)


def _refusal(fact: Salvaged, now: int, error: Exception) -> ExceptionRecord:
    return ExceptionRecord(
        kind="parked-record",
        subject=fact.mark,
        state="open",
        at=now,
        text=f"Row {fact.seq} of a dead gateway's ledger ({fact.epoch}) could not be recorded: {error}"[:500],
        action="Look at the goods and record what happened by hand.",
        facts={"row": msgspec.json.encode(fact.record).decode()[:400]},
    )
