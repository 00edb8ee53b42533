"""The house rules that no linter knows, as a test."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("runtime", "vocabulary", "gateway", "cloud", "demo")
#: Tables of a standard may be long; logic may not.
TABLES = {"vocabulary/epc_tables.py", "gateway/devices/rfid/parameters.py"}
LONGEST_FILE = 500
LONGEST_FUNCTION = 60


def sources() -> list[Path]:
    found = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return [path for path in found if path.parent.parent.name != "migrations"]  # generated, and never changed again


#: Folders that a checkout's programs make; none of it is ours to read.
MADE = {".git", ".venv", ".ruff_cache", ".hypothesis", ".import_linter_cache", "__pycache__", "var", "build", "dist"}


def everything() -> list[Path]:
    """Every file of the checkout, whether or not a version control system is at hand."""
    found: list[Path] = []
    for folder, inside, names in os.walk(ROOT):
        inside[:] = [name for name in inside if name not in MADE and not name.endswith(".egg-info")]
        found += [Path(folder, name) for name in names]
    return sorted(found)


def test_files_and_functions_stay_short() -> None:
    too_long: list[str] = []
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text()
        if text.count("\n") > LONGEST_FILE and name not in TABLES:
            too_long.append(f"{name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    too_long.append(f"{name}:{node.lineno} {node.name}: {length} lines")
    assert too_long == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in sources()
        if len(ast.get_docstring(ast.parse(path.read_text())) or "") < 12
    ]
    assert silent == []


@pytest.mark.parametrize(
    "slip",
    [
        pytest.param(r"\b(TODO|FIXME|XXX)\b", id="unfinished"),
        pytest.param(r"/wor" + r"k/|/tm" + r"p/brief", id="path of a machine"),
        pytest.param(r"pypi\.or" + r"g|pythonhosted|registry\.npmjs|registry\.yarnpkg", id="registry"),
    ],
)
def test_nothing_speaks_of_what_it_should_not(slip: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in everything()
        if path.suffix in {".py", ".md", ".toml", ".txt", ".html", ".css", ".svg", ".sql", ".yml", ""}
        and path.name not in {"LICENSE", Path(__file__).name}
        for match in re.finditer(slip, path.read_text(errors="replace"))
    ]
    assert found == []
