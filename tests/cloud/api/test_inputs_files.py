"""Whatever file somebody brings: its rows, or a sentence that says where it is wrong and what to do."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cloud.errors import BadInputError, BadRow
from cloud.files import Rows, Source, read_structs, tables
from cloud.inputs.fields import fields_of
from cloud.inputs.import_rows import KINDS
from cloud.inputs.masters import MASTERS, Campaign


def read(name: str, data: bytes, kind: str = "campaigns") -> list[Any]:
    wanted = KINDS[kind]
    rows = Rows(Source(name, data=data), wanted.row, others=wanted.others, aliases=wanted.aliases)
    return [row for _, row in rows]


def said(name: str, data: bytes, kind: str = "campaigns") -> str:
    with pytest.raises(BadInputError) as caught:
        read(name, data, kind)
    return str(caught.value)


def sheet(rows: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def parquet(**columns: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


CAMPAIGN = Campaign(id="7", item="4711", first_day="2026-03-01", last_day="2026-03-14", uplift=300)


def test_the_three_forms_give_the_same_row() -> None:
    first, last = date(2026, 3, 1), date(2026, 3, 14)
    text = b"id,sku,first_day,last_day,uplift,site\n7,4711,2026-03-01,2026-03-14 00:00:00,300,\n"
    assert read("a.csv", text) == [CAMPAIGN]
    assert read("a.csv", text.replace(b",", b";")) == [CAMPAIGN]
    assert read("a.txt", text.replace(b",", b"\t")) == [CAMPAIGN]
    assert read("a.csv", b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n")) == [CAMPAIGN]
    assert read("a.csv", text.decode().encode("utf-16")) == [CAMPAIGN]
    head = ["id", "item", "first_day", "last_day", "uplift", None]
    book = sheet(
        [head, [7, 4711, datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None), last, 300.0, None], [None] * 6]
    )
    assert read("A.XLSX", book) == [CAMPAIGN]
    table = parquet(id=[7], item=[4711.0], first_day=[first], last_day=["2026-03-14"], uplift=[300.0])
    assert read("a.parquet", table) == [CAMPAIGN]


def test_what_a_spreadsheet_would_calculate_comes_back_as_it_was() -> None:
    text = b"id,name,first_day,last_day\n'-1,'=1+1,2026-03-01,2026-03-02\n"
    assert [(row.id, row.name) for row in read("a.csv", text)] == [("-1", "=1+1")]


def test_numbers_that_are_missing_in_parquet_are_empty_cells() -> None:
    table = parquet(
        site=["n", "n"], sku=["a", "b"], date=["2026-03-01"] * 2, quantity=[1, 2], price=[float("nan"), 2.5],
        promotion=[True, False],
    )  # fmt: skip
    assert [(row.price, row.promotion) for row in read("a.parquet", table, "demand")] == [(None, 1.0), (2.5, 0.0)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a.csv: the file holds no rows; the first line names the columns: id, site_id"),
        ("id,first_day,last_day\n", "a.csv: the file holds no rows"),
        ("id,frist_day,last_day\n", "a.csv:1: column frist_day is not known; columns are: id, site_id"),
        ("id,x,y,first_day\n", "a.csv:1: columns x, y are not known"),
        ("id,first_day\n", "a.csv:1: column last_day is missing"),
        ("site,site_id,id,first_day,last_day\n", "a.csv:1: column site_id stands there twice"),
        ("id,first_day,last_day,id\n", "a.csv:1: column id stands there twice"),
        ("id,first_day,last_day\nä,2026-03-01,2026-03-01\n", "a.csv: the file cannot be read ("),
        (f"id,first_day,last_day\n{'x' * 200_000},,\n", "field larger than field limit"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(text: str, sentence: str) -> None:
    assert sentence in said("a.csv", text.encode("latin-1"))


@pytest.mark.parametrize(
    ("cells", "field", "text"),
    [
        ("c,2026-3-1,2026-03-02,,", "first_day", "'2026-3-1' does not fit; write a day from 1970 to 2100"),
        ("c,1969-12-31,2026-03-02,,", "first_day", "'1969-12-31' does not fit; write a day from 1970 to 2100"),
        ("c,2026-03-01,2101-01-01,,", "last_day", "'2101-01-01' does not fit; write a day from 1970 to 2100"),
        (",2026-03-01,2026-03-02,,", "id", "is empty; fill it in"),
        ("a/b,2026-03-01,2026-03-02,,", "id", "'a/b' does not fit; write an id of up to 100 characters"),
        ("c,2026-03-01,2026-03-02,viel,", "uplift", "'viel' is no whole number; write one such as 12"),
        ("c,2026-03-01,2026-03-02,-1001,", "uplift", "'-1001' is out of bounds; write a number from -1000 to 100,000"),
        (f"c,2026-03-01,2026-03-02,,{'x' * 301}", "name", "is longer than 300 characters; shorten it"),
        ("c,2026-03-01", "", "the row has more or fewer cells than the first line (2, not 5); write as many"),
    ],
)
def test_each_bad_row_is_named_and_the_others_are_read(cells: str, field: str, text: str) -> None:
    good = "c,2026-03-01,2026-03-02,,\n"
    bad, row = read("a.csv", f"id,first_day,last_day,uplift,name\n{cells}\n{good}".encode())
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.field) == (2, field)
    assert bad.text.startswith(text)
    assert isinstance(row, Campaign)


def test_lines_are_those_of_the_file() -> None:
    text = b'id,name,first_day,last_day\n\na,"two\nlines",2026-03-01,2026-03-02\n,,,\nb,,x,2026-03-02\n'
    rows = list(Rows(Source("a.csv", data=text), Campaign))
    assert [line for line, _ in rows] == [4, 6]


def test_the_first_bad_row_ends_a_read_of_structs(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,first_day,last_day,more\na,x,y,1\nb,x,y,2\n")
    with pytest.raises(BadInputError, match=r"a.csv:2: first_day: 'x' does not fit"):
        read_structs(tmp_path / "a.csv", Campaign, others=True)


def test_a_long_file_tells_how_far_it_is() -> None:
    told: list[tuple[int, int]] = []
    text = b"id,first_day,last_day\n" + b"a,2026-03-01,2026-03-02\n" * 5_000
    count = sum(
        1 for _ in Rows(Source("a.csv", data=text), Campaign, progress=lambda done, of: told.append((done, of)))
    )
    assert count == 5_000
    assert told == sorted(told)
    assert told[-1] == (len(text), len(text))
    assert len(told) > 4


def test_a_workbook_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_UNPACKED_BROUGHT", 1 << 20)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/worksheets/sheet1.xml", b" " * (2 << 20))
    assert "too large unpacked" in said("a.xlsx", packed.getvalue())


def test_a_sheet_whose_last_row_is_far_away_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sheet's own word for a row's number may be anything; rows between are not made without end."""
    monkeypatch.setattr(tables, "MOST_ROWS", 3_000)
    plain = sheet([["id", "first_day", "last_day"], ["a", "2026-03-01", "2026-03-02"]])
    far = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(plain)) as old, zipfile.ZipFile(far, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            if name == "xl/worksheets/sheet1.xml":
                part = part.replace(b'<row r="2"', b'<row r="999999999"').replace(b"A1:C2", b"A1:C999999999")
            new.writestr(name, part)
    assert "more cells than can be read" in said("a.xlsx", far.getvalue())


#: Files that begin well: damage behind a true head reaches further than noise.
_CSV = b"id,first_day,last_day\na,2026-03-01,2026-03-02\n"
_XLSX = sheet([["id", "first_day", "last_day"], ["a", "2026-03-01", 3]])
_PARQUET = parquet(id=["a", "b"], first_day=["2026-03-01", "x"], last_day=["2026-03-02", "y"])


def _damaged(data: bytes, places: list[tuple[int, int]], length: int) -> bytes:
    changed = bytearray(data)
    for place, value in places:
        changed[place % len(changed)] = value
    return bytes(changed[: length % (len(changed) + 1)] if length % 3 == 0 else changed)


@settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["csv", "xlsx", "parquet"]),
    st.sampled_from(["campaigns", "demand", "sites", "asn", "indicators"]),
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=200).map(
            lambda text: b"site,sku,date,quantity,price,on_hand\n" + text.encode("utf-8", "replace")
        ),
        st.builds(
            _damaged,
            st.sampled_from([_CSV, _XLSX, _PARQUET]),
            st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=8),
            st.integers(0, 1 << 16),
        ),
    ),
)
@example("csv", "demand", b"site,sku,date,quantity\nn,a,2026-01-01,1e400\nn,a,2026-01-01," + b"9" * 5_000 + b"\n")
@example("csv", "demand", b"site,sku,date,quantity,price\nn,a,2026-01-01,1,inf\nn,a,2026-01-01,1,nan\n")
@example("csv", "campaigns", b"id,first_day,last_day\n\x00,\x00,\x00\n")
def test_any_bytes_are_rows_or_sentences(form: str, kind: str, data: bytes) -> None:
    try:
        rows = read(f"a.{form}", data, kind)
    except BadInputError:
        return
    for row in rows:
        assert isinstance(row, msgspec.Struct | BadRow)
        assert not isinstance(row, BadRow) or row.text


def test_forms_can_be_made_from_the_structs() -> None:
    for kind in KINDS.values():
        for field in fields_of(kind.row):
            assert field.title != field.name or field.name in ("asn",), field
            assert field.kind != "other", field
            if field.refers:
                assert field.refers in MASTERS
    uplift = next(field for field in fields_of(Campaign) if field.name == "uplift")
    assert (uplift.unit, uplift.least, uplift.most, uplift.default) == ("per mille", -1000, 100_000, 0)
    for master in MASTERS.values():
        assert set(master.key) <= set(master.row.__struct_fields__)
        missing = {column.name for column in master.table.columns} - set(master.row.__struct_fields__)
        assert missing <= {"planned_at", "changed_at", "created_at", "position", "downlink"}
