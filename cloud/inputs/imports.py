"""READ FIRST: files brought to headquarters: each bad row is named, and all rows are stored or none.

import_rows.py       what can be imported beside master data and plans, and other names of columns
import_documents.py  stock, orders, purchases and shipping notices
import_demand.py     demand from before the ledger
uploads.py           the same over HTTP
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar, cast

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.access.principal import EVERY_SITE, Permission, Principal
from cloud.errors import BadInputError, BadRow, NotFoundError
from cloud.files import Progress, Rows, Source
from cloud.inputs.checks import check_rows
from cloud.inputs.import_demand import DemandImport
from cloud.inputs.import_documents import store_documents
from cloud.inputs.import_rows import DOCUMENTS, KINDS, DemandRow
from cloud.inputs.masters import MASTERS, MasterName, put_checked, tell
from cloud.store import audit
from runtime import Runtime

__all__ = ["DOCUMENTS", "KINDS", "MOST_TOLD", "OPERATOR", "Import", "Outcome", "bring", "import_bytes"]

#: Who imports, in the audit log: somebody at the machine itself.
OPERATOR = Principal("command-line", "command line", {EVERY_SITE: ("owner",)})
#: Bad rows that are told one by one.
MOST_TOLD = 100
#: Rows that are checked and stored together.
CHUNK = 2_000
#: Rows that are kept between checking and storing; of more, the file is read twice.
KEPT = 20_000
#: Kinds whose rows may name each other, or that are few: checked as a whole.
_WHOLE = ("sites", "places", "items", *DOCUMENTS)

T = TypeVar("T")
Numbered = tuple[int, msgspec.Struct]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file: `rows` in it, how many were `stored`; `errors` are the first bad rows of `faults` in all.

    `passed_over` are its columns that were not used.
    """

    kind: str
    rows: int
    stored: int
    errors: tuple[BadRow, ...] = ()
    faults: int = 0
    passed_over: tuple[str, ...] = ()


@dataclass
class Import:
    """One file on its way in: `run` does it all; or `check`, which only reads, and then `store`, in a later transaction."""

    runtime: Runtime
    principal: Principal
    kind: str
    source: Source
    progress: Progress | None = None
    rows: int = 0
    faults: int = 0
    errors: list[BadRow] = field(default_factory=list[BadRow])
    passed_over: tuple[str, ...] = ()
    _kept: list[Numbered] = field(default_factory=list[Numbered])
    _keys: set[int] = field(default_factory=set[int])
    _demand: DemandImport = field(default_factory=DemandImport)

    def __post_init__(self) -> None:
        """Raises NotFoundError for a kind that is none, DeniedError where it belongs to no site and the role does not do."""
        if self.kind not in KINDS:
            raise NotFoundError(f"nothing is imported as {self.kind[:100]}; choose one of {', '.join(sorted(KINDS))}")
        if not self._site_column or not self.principal.may_somewhere(self._permission):
            self.principal.require(self._permission, "")

    @property
    def _permission(self) -> Permission:
        master = MASTERS.get(cast(MasterName, self.kind))
        return "plan" if master is None else master.permission

    @property
    def _site_column(self) -> str:
        """The field that says whose row it is, "" where it is everybody's."""
        if self.kind == "sites":
            return ""
        master = MASTERS.get(cast(MasterName, self.kind))
        return ("site_id" if self.kind == "demand" else "site") if master is None else master.site_column

    def outcome(self, stored: int = 0) -> Outcome:
        """What became of it so far."""
        return Outcome(self.kind, self.rows, stored, tuple(self.errors), self.faults, self.passed_over)

    async def run(self, conn: AsyncConnection, *, dry_run: bool) -> Outcome:
        """Check the rows and store them, if all are good, in the caller's transaction. Raises BadInputError for the file."""
        await self.check(conn)
        if self.kind in DOCUMENTS and not self.faults:
            return await self._run_documents(conn, dry_run=dry_run)
        if self.faults or dry_run:
            return self.outcome()
        return await self.store(conn)

    async def check(self, conn: AsyncConnection) -> None:
        """Read and check all rows, changing nothing; what is wrong stands in `errors`."""
        whole = self.kind in _WHOLE
        async with aclosing(self._parts()) as parts:
            async for part in parts:
                self.rows += len(part)
                good = [(line, row) for line, row in part if not isinstance(row, BadRow)]
                self._note([row for _, row in part if isinstance(row, BadRow)])
                if whole or self.rows <= KEPT:
                    self._kept += good
                else:
                    self._kept.clear()
                if not whole:
                    await self._check_part(conn, good)
                if self.kind == "demand":
                    self._demand.look([cast(DemandRow, row) for _, row in good])
        if whole:
            await self._check_part(conn, self._kept)
        self.errors.sort(key=lambda one: one.line)

    async def store(self, conn: AsyncConnection) -> Outcome:
        """Store the rows, which were checked and found good, in the caller's transaction."""
        assert not self.faults
        if self.kind in DOCUMENTS:
            return await self._run_documents(conn, dry_run=False)
        now, sites, stored = self.runtime.now(), set[str](), 0
        if self.kind == "demand":
            await self._demand.begin(conn)
        async with aclosing(self._again()) as parts:
            async for part in parts:
                stored += len(part)
                if self.kind == "demand":
                    await self._demand.store(conn, [cast(DemandRow, row) for row in part], now)
                    continue
                named = [msgspec.structs.asdict(row) for row in part]
                await put_checked(conn, cast(MasterName, self.kind), named, now)
                if self._site_column:
                    sites |= {row[self._site_column] for row in named}
        if self.kind != "demand":
            await tell(conn, cast(MasterName, self.kind), sites)
        await self._record(conn, now)
        return self.outcome(stored)

    async def _run_documents(self, conn: AsyncConnection, *, dry_run: bool) -> Outcome:
        """Documents are checked by opening them: what a dry run opened, or a file with faults, is taken back."""
        async with conn.begin_nested() as point:
            self._note(await store_documents(conn, self.runtime, self.principal, self.kind, self._kept))
            if self.faults or dry_run:
                await point.rollback()
                return self.outcome()
        await self._record(conn, self.runtime.now())
        return self.outcome(self.rows)

    async def _record(self, conn: AsyncConnection, now: int) -> None:
        detail = {"file": self.source.name.rpartition("/")[2][:200]}
        await audit.record(conn, now, self.principal.actor, f"{self.kind}.import", "", str(self.rows), detail)

    def _note(self, bad: Sequence[BadRow]) -> None:
        self.faults += len(bad)
        self.errors += bad[: MOST_TOLD - len(self.errors)]

    async def _check_part(self, conn: AsyncConnection, rows: Sequence[Numbered]) -> None:
        named = [msgspec.structs.asdict(row) for _, row in rows]
        bad = await check_rows(conn, self.kind, named)
        found = [BadRow(rows[one.line - 1][0], one.field, one.text) for one in bad]
        found += self._foreign(rows) + self._twice(rows)
        self._note(found)

    def _foreign(self, rows: Sequence[Numbered]) -> list[BadRow]:
        """Rows of sites where this one may not."""
        column, permission = self._site_column, self._permission
        if not column or self.principal.may(permission, ""):
            return []
        return [
            BadRow(line, column, f"your role does not allow to {permission} there; leave the row out or ask an owner")
            for line, row in rows
            if not self.principal.may(permission, str(getattr(row, column)))
        ]

    def _twice(self, rows: Sequence[Numbered]) -> list[BadRow]:
        """Rows whose key stands in the file before: which one is meant, nobody can know."""
        master = MASTERS.get(cast(MasterName, self.kind))
        if master is None:
            return []
        bad: list[BadRow] = []
        for line, row in rows:
            key = tuple(getattr(row, name) for name in master.key)
            if hash(key) in self._keys:
                named = ", ".join(f"{name} {value or 'every'}" for name, value in zip(master.key, key, strict=True))
                bad.append(BadRow(line, "", f"{named} stands in the file twice; keep one row of it"))
            self._keys.add(hash(key))
        return bad

    async def _again(self) -> AsyncGenerator[list[msgspec.Struct], None]:
        """The rows once more, from memory or from the file."""
        if len(self._kept) == self.rows:
            for start in range(0, len(self._kept), CHUNK):
                yield [row for _, row in self._kept[start : start + CHUNK]]
            return
        count = 0
        async with aclosing(self._parts()) as parts:
            async for part in parts:
                count += len(part)
                good = [row for _, row in part if not isinstance(row, BadRow)]
                if len(good) != len(part):
                    raise BadInputError(f"{self.source.name}: the file was changed while it was read; try again")
                yield good
        if count != self.rows:
            raise BadInputError(f"{self.source.name}: the file was changed while it was read; try again")

    async def _parts(self) -> AsyncGenerator[list[tuple[int, msgspec.Struct | BadRow]], None]:
        """The file's rows in parts, read beside the loop: others are served meanwhile."""
        executor = self.runtime.executor("import")
        loop, kind = asyncio.get_running_loop(), KINDS[self.kind]

        async def call(job: Callable[[], T]) -> T:
            return await loop.run_in_executor(executor, job)

        try:
            rows: Rows[Any] = await call(
                lambda: Rows(self.source, kind.row, others=kind.others, aliases=kind.aliases, progress=self.progress)
            )
            self.passed_over, self._demand.columns = rows.passed_over, rows.columns
            each = iter(rows)
            while part := await call(lambda: list(islice(each, CHUNK))):
                yield part
        finally:
            if executor is not None:
                executor.shutdown(wait=False)


Opened = Callable[[], AbstractAsyncContextManager[AsyncConnection]]


async def bring(coming: Import, reading: Opened, writing: Opened, *, dry_run: bool) -> Outcome:
    """Import a file in transactions of its own: nobody who writes waits while a long one is read and checked."""
    if coming.kind in DOCUMENTS:  # what can be opened is known by opening it
        async with writing() as conn:
            return await coming.run(conn, dry_run=dry_run)
    async with reading() as conn:
        await coming.check(conn)
    if dry_run or coming.faults:
        return coming.outcome()
    async with writing() as conn:
        return await coming.store(conn)


async def import_bytes(
    conn: AsyncConnection, runtime: Runtime, actor: Principal, kind: str, name: str, data: bytes, dry_run: bool
) -> Outcome:
    """Import a file's bytes, in the caller's transaction; its form is that of the ending of `name` (csv, xlsx, parquet).

    Nothing is stored where `errors` are told or in a dry run. Raises NotFoundError for a kind that is none, DeniedError,
    BadInputError for a file that cannot be read at all.
    """
    return await Import(runtime, actor, kind, Source(name, data=data)).run(conn, dry_run=dry_run)
