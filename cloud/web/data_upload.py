"""Files with data: looked through first, with each bad row named; a second click stores what was looked through.

Between the two clicks the file stands in the page: no server has to keep it, and whichever answers next checks it anew.
"""

from __future__ import annotations

import binascii
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.params import FromPath
from litestar.response import Redirect
from msgspec import Meta, Struct

from cloud.errors import BadInputError, NotFoundError, TooLargeError
from cloud.files import fields_of
from cloud.inputs.imports import DOCUMENTS, KINDS, Outcome, import_bytes
from cloud.inputs.masters import MASTERS
from cloud.projections.changes import Change
from cloud.store.database import reading, writing
from cloud.web import data_words
from cloud.web.data_files import template
from cloud.web.page import HtmlRequest, Visit, href, page, see_other, visit

#: Bytes of a file: half a million short rows; larger ones go through the command line.
FILE_BYTES = 16 << 20
#: Bytes of a form that brings one, or holds one as text between the two clicks.
FORM_BYTES = FILE_BYTES * 4 // 3 + (1 << 20)


class UploadFilter(Struct, frozen=True, omit_defaults=True):
    """What the URL holds: how many rows the file had that was just stored."""

    stored: Annotated[int, Meta(ge=0, le=10**9)] = 0


@dataclass(frozen=True, slots=True)
class Brought:
    """A file: its name and bytes."""

    name: str
    data: bytes

    @property
    def kept(self) -> str:
        """It as text, to stand in a page."""
        return urlsafe_b64encode(zlib.compress(self.data, 1)).decode()


def _kind(text: str) -> str:
    if text not in KINDS:
        raise NotFoundError(f"there is no data called {text}; see /data for what there is")
    return text


@get("/data/{name:str}/template.csv", include_in_schema=False)
async def template_file(request: HtmlRequest, name: FromPath[str]) -> Response[str]:
    """A file to fill: the line that names the columns, and an example."""
    visit(request)
    kind = _kind(name)
    return template(kind, KINDS[kind].row)


@get("/data/{name:str}/import", include_in_schema=False)
async def upload_page(request: HtmlRequest, name: FromPath[str]) -> Response[str]:
    """Which file can be brought."""
    visited, kind = visit(request, "plan"), _kind(name)
    return await _page(visited, kind, stored=visited.filter(UploadFilter).stored)


@post("/data/{name:str}/import", include_in_schema=False, request_max_body_size=FORM_BYTES)
async def upload(request: HtmlRequest, name: FromPath[str]) -> Response[str] | Redirect:
    """Look a file through, or store what was looked through before; where a row is bad, nothing is stored."""
    visited, kind = visit(request, "plan"), _kind(name)
    form = await request.form()
    dry = str(form.get("action", "")) != "store"
    try:
        brought = await _brought(form)
        outcome = await _run(visited, kind, brought, dry_run=dry)
    except BadInputError as error:
        return await _page(visited, kind, error=str(error), status=400)
    if dry or outcome.faults:
        return await _page(visited, kind, brought=brought, outcome=outcome, status=400 if outcome.faults else 200)
    kinds = ("documents", "downlink") if kind in DOCUMENTS else ("master", "downlink")
    visited.services.changes.publish(Change("", kinds, 0, visited.services.runtime.now()))
    return see_other(href(f"/data/{kind}/import", UploadFilter(outcome.stored)))


async def _brought(form: Any) -> Brought:
    """The file of a form: the one chosen, else the one that stands in it. Raises BadInputError, TooLargeError."""
    chosen = form.get("file")
    if isinstance(chosen, UploadFile) and chosen.filename:
        data = await chosen.read(FILE_BYTES + 1)
        name = chosen.filename.replace("\\", "/").rpartition("/")[2][:200]
    else:
        name = str(form.get("name", ""))[:200]
        try:
            unpacked = zlib.decompressobj()
            data = unpacked.decompress(urlsafe_b64decode(str(form.get("kept", ""))), FILE_BYTES + 1)
        except (binascii.Error, ValueError, zlib.error):
            raise BadInputError("the page did not hold the file any more; choose it again") from None
    if not data:
        raise BadInputError("choose a file that is not empty")
    if len(data) > FILE_BYTES:
        raise TooLargeError(
            f"the file is larger than {FILE_BYTES >> 20} MiB; bring it in parts, or use evercount-cloud import"
        )
    return Brought(name, data)


async def _run(visited: Visit, kind: str, brought: Brought, *, dry_run: bool) -> Outcome:
    """Check the rows, and store them unless it is a dry run; documents are checked by opening them, which is taken back."""
    services = visited.services
    only_looks = dry_run and kind not in DOCUMENTS
    async with reading(services.engine) if only_looks else writing(services.engine, "") as conn:
        return await import_bytes(
            conn, services.runtime, visited.person, kind, brought.name, brought.data, dry_run=dry_run
        )


async def _page(
    visited: Visit,
    kind: str,
    *,
    brought: Brought | None = None,
    outcome: Outcome | None = None,
    error: str = "",
    stored: int = 0,
    status: int = 200,
) -> Response[str]:
    good = outcome is not None and not outcome.faults
    async with reading(visited.services.engine) as conn:
        answer = await page(
            visited,
            conn,
            "data_upload.html",
            kind=kind,
            words=data_words.KINDS[kind],
            listed=kind in MASTERS,
            columns=fields_of(KINDS[kind].row),
            units=data_words.FILE_UNITS,
            brought=brought,
            kept=brought.kept if brought and good else "",
            outcome=outcome,
            error=error,
            stored=stored,
            most=FILE_BYTES >> 20,
        )
    answer.status_code = status
    return answer
