"""`evercount-cloud`: one sentence and exit status 2 for bad input, 1 where the answer is no."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cloud.__main__ import main
from cloud.store.migrate import newest

pytestmark = pytest.mark.real


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cloud.toml").write_text(f'[database]\nurl = "sqlite:///{tmp_path / "cloud.db"}"\n')
    return tmp_path


def call(folder: Path, *arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["--config", str(folder / "cloud.toml"), *arguments], input=text)


def good(folder: Path, *arguments: str, text: str | None = None) -> str:
    result = call(folder, *arguments, text=text)
    assert result.exit_code == 0, result.output
    return result.output


def refused(folder: Path, *arguments: str, text: str | None = None) -> str:
    result = call(folder, *arguments, text=text)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.output.strip().splitlines()[-1]


def test_from_nothing_to_a_verified_site(folder: Path) -> None:
    assert "evercount-cloud migrate" in refused(folder, "verify")
    assert newest() in good(folder, "migrate")
    (folder / "sites.csv").write_text("id,name,zone\nnorth,North,Europe/Berlin\n")
    (folder / "items.csv").write_text("id,name,lot\nA,Äpfel,true\nB,Bolts,\n", encoding="utf-8-sig")
    good(folder, "import", "sites", str(folder / "sites.csv"))
    assert json.loads(good(folder, "import", "items", str(folder / "items.csv"), "--dry-run", "--json")) == {
        "kind": "items", "rows": 2, "stored": 0, "errors": [],
    }  # fmt: skip
    good(folder, "import", "items", str(folder / "items.csv"))
    (folder / "orders.csv").write_text("site,order,item,quantity,due\nnorth,SO-1,A,3,2026-03-29\nnorth,SO-1,B,2,\n")
    good(folder, "import", "orders", str(folder / "orders.csv"))
    (folder / "stock.csv").write_text("site,place,item,quantity\nnorth,bin-1,A,30\n")
    good(folder, "import", "stock", str(folder / "stock.csv"))
    assert len(good(folder, "enrolment-code", "north").strip()) > 25
    assert "/sign-in/" in good(folder, "create-user", "ann", "--link")
    assert good(folder, "api-key", "erp", "--role", "planner").startswith("evk_")
    report = json.loads(good(folder, "verify", "--json"))
    assert report == {"sites": [{"site": "north", "records": 0, "differences": []}], "audit": "intact"}
    with sqlite3.connect(folder / "cloud.db") as database:
        assert database.execute("SELECT item, day, ordered FROM daily").fetchall() == [
            ("A", "2026-03-29", 3),
            ("B", "2026-03-29", 2),
        ]
        database.execute("UPDATE audit SET actor = 'eve' WHERE n = 1")
    database.close()
    assert call(folder, "verify").exit_code == 1


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("sites", "id,name,zonne\nnorth,North,UTC\n", "file.csv:1: column zonne is not known"),
        ("sites", "id,zone\nnorth,Europe/Berlim\n", "Europe/Berlim"),
        ("sites", "id,day_start\nnorth,ten\n", "file.csv:2: day_start"),
        ("sites", "id,name\nnorth\n", "file.csv:2: the row has more or fewer cells"),
        ("sites", "", "holds no rows"),
        ("places", "site_id,id,kind\nnowhere,bin-1,bin\n", "file.csv:2: site_id: nowhere is not known"),
        ("places", "site_id,id,kind\nnowhere,bin-1,box\n", "file.csv:2: kind"),
        ("stock", "site,place,item,quantity\nnowhere,bin-1,A,3\n", "item: A is not known; add it to items first"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(folder: Path, kind: str, text: str, said: str) -> None:
    good(folder, "migrate")
    (folder / "file.csv").write_text(text)
    assert said in refused(folder, "import", kind, str(folder / "file.csv"))


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_serve_stops_in_order_when_asked(folder: Path, stop: signal.Signals) -> None:
    good(folder, "migrate")
    command = [
        Path(sys.executable).parent / "evercount-cloud",
        "--config",
        folder / "cloud.toml",
        "serve",
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        assert server.stderr.readline().startswith("serving ")
        server.send_signal(stop)
        _, told = server.communicate(timeout=30)
    assert (server.returncode, told) == (0, "")


def test_bad_usage_is_refused(folder: Path) -> None:
    good(folder, "migrate")
    assert "there is no site nowhere" in refused(folder, "enrolment-code", "nowhere")
    assert "12 to 200 characters" in refused(folder, "create-user", "ann", text="short\n")
    assert "there is no such file" in refused(folder, "import", "sites", str(folder / "none.csv"))
    (folder / "cloud.toml").write_text("[server]\nprot = 1\n")
    assert "cloud.toml:2: server.prot is not a known setting; did you mean port?" in refused(folder, "verify")
