"""What the pages must show, added up from the ledger's bytes alone: no projection, no query of the pages."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import Any

OUTSIDE = {"supplier", "customer", "scrap", "opening", "identity", "unknown"}


def movements(path: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """(site, seq, movement) in order of arrival."""
    with sqlite3.connect(path) as conn:
        for site, seq, body in conn.execute("select site_id, seq, body from ledger order by site_id, position"):
            record = json.loads(body)
            if record["record"].startswith("movement"):
                yield site, seq, record
    conn.close()


def on_hand(path: str) -> Counter[tuple[str, str]]:
    """Base units in the building by (site, item)."""
    found: Counter[tuple[str, str]] = Counter()
    for site, _, record in movements(path):
        for line in record.get("lines", ()):
            source, target = line.get("from", record["from"])[0], line.get("to", record["to"])[0]
            found[site, line["item"]] += line["quantity"] * ((target not in OUTSIDE) - (source not in OUTSIDE))
    return found


def done(path: str, site: str, document: str) -> int:
    """Base units moved for a document."""
    return sum(
        line["quantity"]
        for where, _, record in movements(path)
        if where == site and record.get("document") == document
        for line in record.get("lines", ())
    )
