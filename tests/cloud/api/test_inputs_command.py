"""`evercount-cloud import`: every bad row on its own line, as JSON too, and exit status 2."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cloud.__main__ import main

pytestmark = pytest.mark.real


def call(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--database", f"sqlite:///{folder / 'cloud.db'}", *arguments])


def test_bad_rows_are_told_one_by_one(tmp_path: Path) -> None:
    assert call(tmp_path, "migrate").exit_code == 0
    file = tmp_path / "sites.csv"
    file.write_text("id,name\nnorth,North\n")
    assert call(tmp_path, "import", "sites", str(file)).exit_code == 0
    file = tmp_path / "campaigns.csv"
    head = "id,site,first_day,last_day\n"
    file.write_text(head + "a,north,2026-03-01,2026-03-02\nb,west,2026-03-01,2026-03-02\nc,north,1.3.2026,2026-03-02\n")
    result = call(tmp_path, "import", "campaigns", str(file), "--json")
    assert result.exit_code == 2
    told = json.loads(result.stdout)
    assert (told["kind"], told["rows"], told["stored"]) == ("campaigns", 3, 0)
    assert [(one["line"], one["field"]) for one in told["errors"]] == [(3, "site_id"), (4, "first_day")]
    assert result.stderr.splitlines() == [
        f"{file}:3: site_id: west is not known; add it to sites first",
        f"{file}:4: first_day: '1.3.2026' does not fit; write a day from 1970 to 2100, written as 2026-03-29",
    ]
    result = call(tmp_path, "import", "campaigns", str(tmp_path / "none.csv"), "--json", "--dry-run")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["errors"][0]["text"].endswith("none.csv: there is no such file")
    file.write_text(head + "".join(f"x{number},west,2026-03-01,2026-03-02\n" for number in range(150)))
    result = call(tmp_path, "import", "campaigns", str(file), "--dry-run")
    assert len(result.stderr.splitlines()) == 101
    assert result.stderr.splitlines()[-1].endswith("50 more rows are bad; nothing was stored")
    with sqlite3.connect(tmp_path / "cloud.db") as database:
        assert database.execute("SELECT count(*) FROM campaign").fetchone() == (0,)
    database.close()
