"""Reads become RO_ACCESS_REPORT content: accumulation, content selection, omitted fields."""

from __future__ import annotations

import struct
from binascii import crc_hqx
from typing import NamedTuple

from gateway.simulation import impinj
from gateway.simulation.llrp.codec import Element


class TagRead(NamedTuple):
    """One answer of one tag. `at` in microseconds of the reader's own clock, `strength` in centi-dBm, `phase` 1/4096 turn."""

    epc: str
    antenna: int
    channel: int
    strength: int
    phase: int
    at: int


class Selection(NamedTuple):
    """What a TagReportContentSelector asks for."""

    rospec: bool
    spec_index: bool
    inventory_spec: bool
    antenna: bool
    channel: bool
    strength: bool
    first_seen: bool
    last_seen: bool
    seen_count: bool
    pc: bool
    crc: bool
    phase: bool = False  # the vendor's
    fine_strength: bool = False  # the vendor's


EVERYTHING = Selection(*(True,) * 11)  # of the standard's fields


def selection_of(report_spec: Element | None) -> Selection:
    """The selection of an ROReportSpec; without one, everything (the default of this reader)."""
    selector = report_spec.find("TagReportContentSelector") if report_spec else None
    if selector is None:
        return EVERYTHING._replace(pc=False, crc=False)
    memory = selector.find("C1G2EPCMemorySelector")
    names = ("ROSpecID", "SpecIndex", "InventoryParameterSpecID", "AntennaID", "ChannelIndex", "PeakRSSI")
    names += ("FirstSeenTimestamp", "LastSeenTimestamp", "TagSeenCount")
    wanted = [bool(selector.integer(f"Enable{name}")) for name in names]
    wanted += [bool(memory and memory.integer("EnablePCBits")), bool(memory and memory.integer("EnableCRC"))]
    return Selection(*wanted, *(impinj.wanted(report_spec) if report_spec else ()))


class Sighted(NamedTuple):
    """One tag as it stands in a report: all reads of it since the last report."""

    epc: str
    antenna: int
    channel: int
    strength: int
    first: int
    last: int
    reads: int
    phase: int = 0


def accumulate(pending: dict[tuple[str, int, int], Sighted], read: TagRead, selection: Selection) -> None:
    """Add a read to what the next report will say (rules of LLRP 1.0.1 section 13.2.3.1 on accumulation)."""
    key = (read.epc, read.antenna if selection.antenna else 0, read.channel if selection.channel else 0)
    old = pending.get(key)
    if old is None:
        pending[key] = Sighted(read.epc, read.antenna, read.channel, read.strength, read.at, read.at, 1, read.phase)
    else:
        reads = min(old.reads + 1, 0xFFFF)
        strength = max(old.strength, read.strength)
        pending[key] = old._replace(strength=strength, last=read.at, reads=reads, phase=read.phase)


#: EPCs of this length travel in the short EPC-96 parameter, all others in EPCData.
EPC_96_BYTES = 12


def pc_word(epc: bytes) -> int:
    """The protocol control word of an EPC: its length in words in the top five bits (Gen2 section 6.3.2.1.2.2)."""
    return (len(epc) // 2) << 11


class Batch(NamedTuple):
    """The tags of one report and what the report must say about where they come from."""

    rospec: int
    spec_index: int
    inventory_spec: int
    selection: Selection
    tags: tuple[Sighted, ...]


class TagReportEncoder:
    """Encodes the TagReportData parameters of one connection; knows what the client was told before."""

    def __init__(self, utc: bool, omit_unchanged: bool) -> None:
        self._omit = omit_unchanged
        self._first_type, self._last_type = (2, 4) if utc else (3, 5)
        self._told: dict[int, bytes] = {}

    def encode(self, batch: Batch) -> bytes:
        """All TagReportData parameters of a batch, with their headers."""
        return b"".join(self._encode(batch, seen) for seen in batch.tags)

    def _encode(self, batch: Batch, seen: Sighted) -> bytes:
        epc = bytes.fromhex(seen.epc)
        if len(epc) == EPC_96_BYTES:
            body = bytearray(b"\x8d" + epc)
        else:
            body = bytearray(struct.pack(">HHH", 241, 6 + len(epc), len(epc) * 8) + epc)
        for kind, content in self._fields(batch, seen, epc):
            if self._omit and self._told.get(kind) == content:
                continue
            self._told[kind] = content
            body.append(0x80 | kind)
            body += content
        if batch.selection.phase:
            body += impinj.phase_parameter(seen.phase)
        if batch.selection.fine_strength:
            body += impinj.strength_parameter(seen.strength)
        return struct.pack(">HH", 240, 4 + len(body)) + bytes(body)

    def _fields(self, batch: Batch, seen: Sighted, epc: bytes) -> list[tuple[int, bytes]]:
        word = pc_word(epc).to_bytes(2, "big")
        strength = max(-128, min(127, round(seen.strength / 100)))  # the standard's field is one byte of dBm
        chosen = batch.selection
        fields = (
            (chosen.rospec, 9, batch.rospec.to_bytes(4, "big")),
            (chosen.spec_index, 14, batch.spec_index.to_bytes(2, "big")),
            (chosen.inventory_spec, 10, batch.inventory_spec.to_bytes(2, "big")),
            (chosen.antenna, 1, seen.antenna.to_bytes(2, "big")),
            (chosen.strength, 6, strength.to_bytes(1, "big", signed=True)),
            (chosen.channel, 7, seen.channel.to_bytes(2, "big")),
            (chosen.first_seen, self._first_type, seen.first.to_bytes(8, "big")),
            (chosen.last_seen, self._last_type, seen.last.to_bytes(8, "big")),
            (chosen.seen_count, 8, seen.reads.to_bytes(2, "big")),
            (chosen.pc, 12, word),
            # Gen2 annex F: the CRC-16 over PC and EPC, inverted
            (chosen.crc, 11, (crc_hqx(word + epc, 0xFFFF) ^ 0xFFFF).to_bytes(2, "big")),
        )
        return [(kind, content) for wanted, kind, content in fields if wanted]
