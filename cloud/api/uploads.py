"""/api/v1/imports: files over HTTP: a table as the request's body, checked whole, stored whole or not at all."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

from cloud.api.caller import Http, caller_of
from cloud.api.problems import Problem, problem
from cloud.errors import BadInputError
from cloud.files import Source
from cloud.inputs.imports import Import, Outcome, bring

#: Bytes of a file that is sent: some 300,000 rows of CSV. More is imported on the machine itself.
FILE_BYTES = 16 << 20
#: How files are named in a request's head; forms that a web page can send unasked are not among them.
_MEDIA = {
    "text/csv": "csv",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.apache.parquet": "parquet",
    "application/octet-stream": "",
}

Form = Annotated[
    Literal["csv", "xlsx", "parquet"] | None,
    QueryParameter(name="format", description="what the body is, where its content type does not say so"),
]
DryRun = Annotated[bool, QueryParameter(description="check everything, store nothing")]


class BadLine(msgspec.Struct, frozen=True):
    """A row that is wrong: the line it stands on, its field ("" for the row), and what to do."""

    line: int
    field: str
    text: str


class Imported(msgspec.Struct, frozen=True):
    """How many rows a file has and how many were stored; `errors` are the first of all `faults`.

    `passed_over` are columns that were not used.
    """

    rows: int
    stored: int
    errors: list[BadLine]
    faults: int
    passed_over: list[str]


def _answer(outcome: Outcome) -> Imported:
    errors = [BadLine(one.line, one.field, one.text) for one in outcome.errors]
    return Imported(outcome.rows, outcome.stored, errors, outcome.faults, list(outcome.passed_over))


@post(
    "/imports/{kind:str}",
    operation_id="import_file",
    status_code=200,
    request_max_body_size=FILE_BYTES,
    responses={422: ResponseSpec(Problem, False, "Rows of the file are wrong", media_type="application/problem+json")},
)
async def import_file(
    request: Http, kind: FromPath[str], body: bytes, dry_run: DryRun = False, form: Form = None
) -> Response[Any]:
    """Import a CSV, XLSX or Parquet file, sent as the body; its first line names the columns.

    All rows are stored or none: where rows are wrong the answer is 422, and its `fields` name each of the first hundred. A
    dry run stores nothing and answers 200 with `errors`.
    """
    caller = caller_of(request, "read", body=tuple(_MEDIA))
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    found = form or _MEDIA.get(media, "")
    if not found:
        raise BadInputError("format: say csv, xlsx or parquet, for the content type does not")
    coming = Import(caller.services.runtime, caller.principal, kind, Source(f"{kind}.{found}", data=body))
    outcome = await bring(
        coming, caller.reading, lambda: caller.writing("", "master", "documents", "downlink"), dry_run=dry_run
    )
    if outcome.errors and not dry_run:
        fields = [{"line": str(one.line), "field": one.field, "message": one.text} for one in outcome.errors]
        count = "1 fault" if outcome.faults == 1 else f"{outcome.faults} faults"
        first = outcome.errors[0]
        return problem(422, f"{count}, nothing was stored; line {first.line}: {first.sentence()}", fields=fields)
    return Response(_answer(outcome))


UPLOADS = [import_file]
