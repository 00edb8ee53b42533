"""One sentence about each thing that can be wrong with a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import pytest

from runtime.toml import ConfigError, line_of, load, parse


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    kind: Literal["rfid", "camera"] = "rfid"
    port: int = 5084


class Root(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    site: str
    device: tuple[Device, ...] = ()
    limits: dict[str, int] = {}


GOOD = """\
site = "hamburg"

[[device]]
name = "door-1"

[[device]]
name = "door-2"
port = 5085
kind = "camera"

[limits]
"a b" = 3
"""


def message(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, Root, "site.toml")
    return str(caught.value)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(GOOD)
    assert load(tmp_path / "site.toml", Root).device[1] == Device("door-2", "camera", 5085)


def test_unknown_key_names_line_and_suggestion() -> None:
    text = message(GOOD.replace("port = 5085", "prot = 5085"))
    assert text == "site.toml:8: device[2].prot is not a known setting; did you mean port?"


def test_wrong_type_names_line_and_remedy() -> None:
    assert message(GOOD.replace("5085", '"x"')) == (
        "site.toml:8: device[2].port is not a whole number; write a whole number"
    )


def test_wrong_choice_lists_the_choices() -> None:
    text = message(GOOD.replace('"camera"', '"lidar"'))
    assert text.startswith("site.toml:9: device[2].kind = 'lidar' is not allowed; choose one of: rfid, camera")


def test_missing_field_names_its_table() -> None:
    assert message(GOOD.replace('name = "door-2"\n', "")) == "site.toml:6: device[2].name is missing; add it"


def test_broken_toml_names_the_line() -> None:
    assert message("site = \n").startswith("site.toml:1: this is not valid TOML: ")


def test_value_in_a_free_table() -> None:
    assert "site.toml:11: limits is not a whole number" in message(GOOD.replace("= 3", '= "3"'))


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "none.toml", Root)


def test_line_of_unknown_path_is_its_nearest_table() -> None:
    assert line_of(GOOD, ("device", 1, "nothing")) == 6
