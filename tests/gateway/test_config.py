"""Each field of each example file, spoilt in turn: every message names file, line, field and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config import load_config
from runtime.toml import ConfigError

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "demo" / "sites").glob("*.toml"))
SETTING = re.compile(r"^(\w+) = (.+)$")


def mutations() -> list[tuple[str, int, str, str]]:
    """(file, line, key, what the line becomes) for every setting of every example."""
    found: list[tuple[str, int, str, str]] = []
    for path in EXAMPLES:
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            if match := SETTING.match(line):
                key, value = match.groups()
                wrong = "7" if value.startswith(('"', "[")) else '"seven"'
                if value == "[":  # opens a table of antennas on the lines below: only its name can be spoilt here
                    found.append((path.name, number, key, f"{key}x = ["))
                    continue
                found.append((path.name, number, key, f"{key} = {wrong}"))
                found.append((path.name, number, key, f"{key}x = {value}"))
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_good(path: Path) -> None:
    config = load_config(path)
    assert len(config.reader) == 2
    assert [door.name for door in config.door] == ["dock-1", "dock-2"]


@pytest.mark.parametrize(("name", "number", "key", "spoilt"), mutations())
def test_a_spoilt_setting_is_named(tmp_path: Path, name: str, number: int, key: str, spoilt: str) -> None:
    lines = (EXAMPLES[0].parent / name).read_text().splitlines()
    lines[number - 1] = spoilt
    file = tmp_path / name
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(ConfigError) as refused:
        load_config(file)
    message = str(refused.value)
    assert message.startswith(f"{file}:{number}: ")
    assert key in message
    assert "\n" not in message
    assert re.search(r"write|did you mean|known|choose|name|add", message), message


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "portal-2"', 'name = "portal-1"', "given twice"),
        ('inside = ["portal-2/2"]', 'inside = ["portal-2/9"]', 'names "portal-2/9", which no reader has'),
        ('inside = ["portal-2/2"]', 'inside = ["portal-1/2"]', "which door dock-1 has already"),
        ('inside = ["portal-2/2"]', "inside = []", "is empty"),
        ('url = "http://127.0.0.1:8400"', 'url = "http://hq.example"', "must begin with https://"),
        ("port = 8501", "port = 85010", "between 0 and 65535"),
    ],
)
def test_contradictions_are_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = (EXAMPLES[0].parent / "north.toml").read_text()
    assert old in text
    file = tmp_path / "north.toml"
    file.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=re.escape(says)) as refused:
        load_config(file)
    line = int(re.match(rf"{re.escape(str(file))}:(\d+): ", str(refused.value))[1])  # pyright: ignore[reportOptionalSubscript]
    assert (
        new.split(" = ")[0] in file.read_text().splitlines()[line - 1] or "[" in file.read_text().splitlines()[line - 1]
    )


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config(tmp_path / "nothing.toml")
