"""Bytes on the wire per dock movement: full batches of what the door rule makes, by number of tags and zstd level.

    python benchmarks/wire_bytes.py [--pallets 3000] [--show]

Pallets (one SSCC) with 0, 1, 11 and 23 announced cases go in at two doors, and out again under orders. Serials run on from
case to case, as label printers number them, in --random from anywhere. Prints JSON: bytes per movement for each number of
tags, and the line through them: bytes of the first unit and of each further one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from random import Random

import zstandard

from gateway.ledger.store import LedgerReader
from gateway.ledger.writer import LedgerWriter
from gateway.transactions.catalogue import Catalogue
from gateway.transactions.intents import Crossed, Origin, SeenUnit
from gateway.transactions.rules import evidence_hash
from runtime import SystemRuntime
from vocabulary.document import Document, DocumentLine, ExpectedUnit
from vocabulary.item import Item, PackagingLevel
from vocabulary.movement import Content
from vocabulary.place import Place
from vocabulary.wire import BATCH_RECORDS, Downlink

#: A Monday morning, microseconds UTC.
AT = 1_767_592_800_000_000
SEED = 20_261


def check_digit(digits: str) -> str:
    total = sum(int(digit) * (3 if index % 2 == 0 else 1) for index, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def site(pallets: int, cases: int, draw: Random, random_serials: bool) -> tuple[Catalogue, list[Crossed]]:
    """A site that expects `pallets` of `cases` each, and their crossings in time order: in, and an hour later out."""
    bodies = [f"0950600013{number:03d}" for number in range(60)]
    gtins = [body + check_digit(body) for body in bodies]
    items = tuple(Item(f"SKU-{number:04d}", f"Item {number}", lot=True) for number in range(60))
    levels = tuple(PackagingLevel(gtin, item.id, 24) for gtin, item in zip(gtins, items, strict=True))
    documents: list[Document] = []
    crossings: list[Crossed] = []
    serial = [draw.randrange(10**9) for _ in gtins]
    clock = AT
    for number in range(pallets):
        clock += int(draw.expovariate(1 / 90e6))
        kind = draw.randrange(60)
        reference = f"{340_000_000 + number:09d}"
        text = f"3095060{reference}"
        sscc = f"00/{text}{check_digit(text)}"
        units = [sscc]
        content = Content(items[kind].id, 24, lot=f"L{number // 20:05d}", expiry="2027-03-31")
        for _ in range(cases):
            serial[kind] = draw.randrange(2**38) if random_serials else serial[kind] + 1
            units.append(f"01/{gtins[kind]}/21/{serial[kind]}")
        announced = tuple(ExpectedUnit(unit, sscc, (content,)) for unit in units[1:])
        if not cases:
            announced = (ExpectedUnit(sscc, holds=(content,)),)
        quantity = 24 * max(1, cases)
        asn = f"ASN-{number // 4:06d}"
        line = DocumentLine(number % 4 + 1, items[kind].id, quantity, unit_cost=1_250_000, currency="EUR")
        if documents and documents[-2].id == asn:
            last = documents[-2]
            documents[-2] = Document(asn, 1, "expected-receipt", "open", (*last.lines, line), last.units + announced)
            out = documents[-1]
            documents[-1] = Document(out.id, 1, "outbound-order", "open", (*out.lines, line))
        else:
            documents.append(Document(asn, 1, "expected-receipt", "open", (line,), announced))
            documents.append(Document(f"SO-{number // 4:06d}", 1, "outbound-order", "open", (line,)))
        draw.shuffle(units)
        for direction, begin in (("in", clock), ("out", clock + 3_600_000_000 + draw.randrange(10**9))):
            last = begin + draw.randrange(1_500_000, 6_000_000)
            door = draw.randrange(1, 3)
            origin = Origin(
                f"door-{door}",
                (begin, last),
                "dock-door/1",
                min(999, int(1000 - draw.expovariate(0.2))),
                evidence_hash(draw.randbytes(32)),
            )
            seen = tuple(SeenUnit(unit) for unit in units)
            document = "" if direction == "in" else f"SO-{number // 4:06d}"
            crossings.append(
                Crossed(
                    occurred_at=last,
                    origin=origin,
                    place=f"dock-{door}",
                    direction=direction,  # type: ignore[arg-type]
                    units=seen,
                    document=document,
                )
            )
    crossings.sort(key=lambda crossing: crossing.occurred_at)
    places = (Place("north", "site"), Place("dock-1", "dock", "north"), Place("dock-2", "dock", "north"))
    downlink = Downlink("1", items, levels, places, tuple(documents))
    return Catalogue.from_downlink(downlink, "north"), crossings


async def measure(folder: Path, cases: int, given: argparse.Namespace) -> dict[str, object]:
    path = folder / f"{cases}.db"
    catalogue, crossings = site(given.pallets, cases, Random(SEED), given.random)
    writer = await LedgerWriter.open(path, SystemRuntime())
    writer.set_catalogue(catalogue)
    for index in range(0, len(crossings), 1_000):
        await writer.submit_many(crossings[index : index + 1_000])
    reader = await LedgerReader.open(path)
    sizes: dict[int, int] = dict.fromkeys(given.level, 0)
    raw = rows = movements = seq = 0
    while len(page := await reader.rows(seq + 1, BATCH_RECORDS, 1 << 20)) and (
        page[-1].seq < writer.head.seq or not rows
    ):
        seq = page[-1].seq
        text = b"\n".join(row.body for row in page)
        raw, rows = raw + len(text), rows + len(page)
        movements += sum(row.body.startswith(b'{"record":"movement') for row in page)
        if given.show and rows == len(page):
            print(*(row.body.decode() for row in page[500:504]), sep="\n")
        for level in given.level:
            sizes[level] += len(zstandard.ZstdCompressor(level=level).compress(text))
    await reader.close()
    await writer.close()
    return {
        "tags": cases + 1,
        "records_per_movement": round(rows / movements, 3),
        "json_bytes": round(raw / movements, 1),
        "bytes": {level: round(size / movements, 2) for level, size in sizes.items()},
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pallets", type=int, default=3_000)
    parser.add_argument("--level", type=int, action="append")
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    given.level = given.level or [1, 3, 6, 9, 12, 15]
    found: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        for cases in (0, 1, 11, 23):
            found.append(await measure(Path(name), cases, given))
    lines = {}
    for level in given.level:
        few, many = (row["bytes"][level] for row in (found[1], found[3]))  # type: ignore[index]
        slope = (many - few) / 22
        lines[level] = {"first": round(few - slope, 1), "further": round(slope, 2)}
    print(json.dumps({"measured": found, "line_by_level": lines}, indent=1))


if __name__ == "__main__":
    asyncio.run(main())
