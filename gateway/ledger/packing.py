"""How the canonical bytes of a row are kept once it is no longer new: deflated, with words that every row has in common.

New rows are stored as they are, for so they are easiest read from a damaged file; the writer packs those a day behind.
What comes out is what went in, byte for byte: the hash chain is over the canonical bytes.
"""

from __future__ import annotations

import sqlite3
import zlib

#: How a packed body begins: no canonical body does, they begin with "{". The last byte numbers the dictionary.
MARK = b"\xecpk\x01"
#: zlib's level and memory: 7 us a row. With the usual memory, 256 kB are cleared for each row, which takes 50 us.
LEVEL, MEMORY = 9, 5
#: Raw deflate (the hash chain checks what a checksum would) with a window of 8 KiB: the words and the row before them.
RAW = -13

#: Rows that stay as they came: a day at one a second.
FRESH_ROWS = 86_400
#: Rows packed at once: some 100 ms.
PACK_ROWS = 10_000

#: Dictionary 1: what rows have in common, the commonest last. Frozen: rows were packed with it.
WORDS_1 = b"".join(
    (
        b'{"record":"checkpoint/1","at":17,"balances":,"units":,"documents":,"snapshot":"',
        b'{"record":"clock/1","at":17,"first_seq":,"last_seq":,"shift":',
        b'{"record":"command-result/1","command":"","at":17,"result":"done"}"refused","text":"expired"',
        b'{"record":"inspection/1","at":17,"item":"","result":"passed","text":"failed"',
        b'{"record":"document/1","id":"","revision":1,"type":"expected-receipt","state":"open","lines":[{"line":1,"item":"',
        b'"type":"outbound-order""transfer""count-request""hold""closed""cancelled","partner":"","reference":"","source":"',
        b'{"record":"count/1","account":["","available"],"scope":"whole","listed","against":"unknown","occurred_at":17',
        b'"counted":,"book":,"first_scan":17,"cut_off":17,"again":true',
        b'{"record":"exception/1","kind":"negative-balance""against-ledger""unknown-gtin""unexplained-unit""unknown-content"',
        b'"content-doubtful""content-undeclared""possible-clone""no-document""over-receipt""recount""count-difference"',
        b',"subject":"","state":"open","at":17,"text":"by the ledger: more went out than came in.","action":"Count the place,',
        b' or find the movement that was missed.","facts":{"balance":-},"cause":,"reason":"","actor":"","state":"decided"',
        b'"on-hold:quarantine""on-hold:inspection""on-hold:recall""damaged""scrap","available"],"opening""identity""unknown"',
        b'"in-transit:","robot:","kind":"storing""picking""release""returning""counting""disaggregating""consuming""producing"',
        b'"commissioning""destroying""identifying"',
        b'"lot":"","expiry":"20-01-01","grams":,"from":["","available"],"out_of":"","into":"00/","inferred":true,"implied":true',
        b'"unit_cost":,"currency":"EUR"},"group":,"reverses":,"replaces":,"completes":,"compensates":,"count":,"inspection":',
        b'"past":true,"container":null,"container":"00/',
        b'{"record":"movement/1","kind":"moving","from":["dock-","available"],"to":["bin-","available"],"occurred_at":17',
        b'{"record":"movement/1","kind":"shipping","from":["dock","available"],"to":["customer","available"],"occurred_at":17',
        b',"units":[{"unit":"00/","container":"","holds":[{"item":"","quantity":},{"unit":"8003/',
        b'{"record":"movement/1","kind":"receiving","from":["supplier","available"],"to":["dock","available"],"occurred_at":17',
        b',"lines":[{"item":"","quantity":24,"document_line":1}],"units":[{"unit":"01/0","/21/","holds":[{"item":"","quantity":24}]}]',
        b',"document":"","document_line":1,"read_point":"dock-1/portal","interval":1900000,"rule":"dock-door/1"',
        b',"confidence":990,"evidence":"","actor":"',
    )
)


def pack(body: bytes) -> bytes:
    """Canonical bytes as an older row stores them; as they are where packing gains nothing."""
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, RAW, MEMORY, zdict=WORDS_1)
    packed = MARK + deflate.compress(body) + deflate.flush()
    return packed if len(packed) < len(body) else body


def unpack(stored: bytes) -> bytes:
    """The canonical bytes of what a row stores; what is no packed body comes back as it is, for the chain to judge."""
    if stored[: len(MARK)] != MARK:
        return stored
    inflate = zlib.decompressobj(RAW, zdict=WORDS_1)
    try:
        return inflate.decompress(stored[len(MARK) :]) + inflate.flush()
    except zlib.error:
        return stored


def pack_older(connection: sqlite3.Connection) -> None:
    """Pack some of the rows that are no longer new, in the caller's transaction; position `packed` is the last one done.

    They are taken out and put back: whole pages become free and are used again, where rows that shrink in place would have
    every page written that they stand on.
    """
    found = connection.execute("SELECT seq FROM position WHERE name = 'packed'").fetchone()
    done = found[0] if found else 0
    (head,) = connection.execute("SELECT coalesce(max(seq), 0) FROM ledger").fetchone()
    if head - FRESH_ROWS - done < PACK_ROWS:
        return
    rows = connection.execute(
        "SELECT seq, epoch, body, hash FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?", (done, PACK_ROWS)
    ).fetchall()
    last = rows[-1][0]
    connection.execute("DELETE FROM ledger WHERE seq > ? AND seq <= ?", (done, last))
    connection.executemany(
        "INSERT INTO ledger VALUES (?, ?, ?, ?)",
        ((seq, epoch, pack(body) if isinstance(body, bytes) else body, stored) for seq, epoch, body, stored in rows),
    )
    connection.execute("INSERT OR REPLACE INTO position VALUES ('packed', ?, NULL)", (last,))
