"""What a technician types, and what comes back: JSON where it was promised, one sentence where something is wrong."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.__main__ import main

SITES = Path(__file__).resolve().parents[2] / "demo" / "sites"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def lines(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_decode_epc_gives_a_line_for_each_code_and_never_guesses() -> None:
    good, unknown, text = lines(run("decode", "epc", "3034257BF7194E4000001A85", "FF00", "no hex"))
    assert good["scheme"] == "sgtin-96"
    assert good["uri"] == "urn:epc:id:sgtin:0614141.812345.6789"
    assert good["gtin"] == "80614141123458"
    assert good["serial"] == "6789"
    assert good["error"] is None
    assert (unknown["scheme"], text["scheme"]) == ("raw", "raw")
    assert unknown["error"]
    assert text["error"]


def test_decode_barcode_takes_the_aim_identifier_and_keeps_what_it_could_read() -> None:
    element, link, damaged = lines(
        run(
            "decode",
            "barcode",
            "]C10109506000134352211234",
            "]Q1https://id.example/01/09506000134352/10/LOT7",
            "]C10109506000134351",
        )
    )
    assert element["gtin"] == "09506000134352"
    assert element["serial"] == "1234"
    assert link["lot"] == "LOT7"
    assert damaged["error"]
    assert set(element) >= {"text", "elements", "gtin", "lot", "expiry", "serial", "sscc", "error"}


def test_decode_llrp_describes_any_bytes(tmp_path: Path) -> None:
    keepalive = struct.pack(">HII", 1 << 10 | 62, 10, 7)
    file = tmp_path / "frames.bin"
    file.write_bytes(keepalive + b"\xff\xff\xff")
    first, rest = lines(run("decode", "llrp", file))
    assert (first["type"], first["name"], first["id"]) == (62, "KEEPALIVE", 7)
    assert rest["error"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("check-config", "nowhere.toml"), "nowhere.toml: there is no such file"),
        (("run", "--config", "nowhere.toml"), "there is no such file"),
        (("status", "--config", "nowhere.toml"), "there is no such file"),
        (("decode", "llrp", "nowhere.bin"), "nowhere.bin"),
        (("replay", "nowhere.capture", "--config", str(SITES / "north.toml")), "nowhere.capture"),
        (("capture", "portal-9", "out", "--config", str(SITES / "north.toml")), 'no device "portal-9"'),
        (("verify-ledger", "nowhere.db"), "nowhere.db does not exist"),
        (("enrol", "--config", str(SITES / "north.toml"), "--cloud", "http://far.example", "--code", "x"), "https://"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_two(arguments: tuple[str, ...], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output


def test_check_config_counts_what_it_found() -> None:
    result = run("check-config", SITES / "north.toml")
    assert result.exit_code == 0
    assert "2 readers, 4 read points, 2 doors" in result.output
