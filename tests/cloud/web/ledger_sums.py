"""What the pages must show, added up from the ledger's bytes alone: no projection, no query of the pages."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

OUTSIDE = {"supplier", "customer", "scrap", "opening", "identity", "unknown"}


#: (site, seq, body) in order of arrival.
Rows = list[tuple[Any, ...]]


def stored(database: Path) -> Rows:
    """The rows of an SQLite database that a server may be using."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT site_id, seq, body FROM ledger ORDER BY site_id, position").fetchall()


def movements(rows: Rows) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """(site, seq, movement) in order of arrival."""
    for site, seq, body in rows:
        record = json.loads(body)
        if record["record"].startswith("movement"):
            yield site, seq, record


def on_hand(rows: Rows) -> Counter[tuple[str, str]]:
    """Base units in the building by (site, item)."""
    found: Counter[tuple[str, str]] = Counter()
    for site, _, record in movements(rows):
        for line in record.get("lines", ()):
            source, target = line.get("from", record["from"])[0], line.get("to", record["to"])[0]
            found[site, line["item"]] += line["quantity"] * ((target not in OUTSIDE) - (source not in OUTSIDE))
    return found


def done(rows: Rows, site: str, document: str) -> int:
    """Base units moved for a document."""
    return sum(
        line["quantity"]
        for where, _, record in movements(rows)
        if where == site and record.get("document") == document
        for line in record.get("lines", ())
    )
