"""Fuzz target for what tags and labels carry: EPC binaries and GS1 barcodes. Nothing raises, whatever is read."""

from __future__ import annotations

from vocabulary import barcode, epc

SEEDS = [
    bytes.fromhex("3034257bf7194e4000001a85"),
    bytes.fromhex("3114257bf71234567800001a"),
    bytes.fromhex("36300e0b0b6c2c1a18c58b1656ac58b1640000000000"),
    bytes.fromhex("f7095061421345 2031303230".replace(" ", "")),
    b"]C1010950600013435210LOT-7\x1d17271231",
    b"]d20109506000134352213042\x1d3103001250",
    b"]Q3https://id.gs1.org/01/09506000134352/10/ABC?17=271231",
    b"(01)09506000134352(21)12345",
    b"]E09506000134352",
    b"00195060000000000012",
]


def one_input(data: bytes) -> None:
    """Everything that must hold for any bytes."""
    found = epc.decode_uncached(data[:64].hex())
    assert found.error or found.uri or found.scheme
    epc.as_json(found)
    text = data.decode("latin-1")
    for read in (barcode.read(text), barcode.read(data.decode("utf-8", "replace"))):
        barcode.as_json(read)
        assert read.elements or read.error or read.gtin
    if len(data) > 2:
        epc.as_json(epc.decode_bank(int.from_bytes(data[:2], "big"), data[2:66].hex()))
