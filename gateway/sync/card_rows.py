"""A dead card's last rows go to headquarters as they are: an epoch of their own, kept there as evidence, without effect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

from gateway.errors import GatewayError, LinkDownError
from gateway.ledger.pages import FoundRow
from gateway.sync.batch import pack
from gateway.sync.http import Answer, Cloud
from vocabulary.chain import EPOCH_BITS, genesis, link
from vocabulary.wire import BATCH_BYTES, BATCH_RECORDS, WIRE_VERSION, BatchHeader, Head, Status

#: Stands before what the label of such an epoch is the hash of.
_LABEL = b"evercount salvaged card 1"


class CardTail(NamedTuple):
    """Rows that chain without a gap to row `seq` of `parent`, the last one that headquarters holds too."""

    parent: int
    seq: int
    hash: bytes
    rows: tuple[FoundRow, ...]

    @property
    def epoch(self) -> int:
        """The label of their epoch at headquarters: the same whenever, and by whomever, the same rows are handed in."""
        last = self.rows[-1].hash if self.rows else self.hash
        return int.from_bytes(sha256(_LABEL + self.hash + last).digest()[:8], "big") >> (64 - EPOCH_BITS)


def tail_of(rows: Sequence[FoundRow], held: int) -> CardTail:
    """What of a card's `rows` follows row `held` with its chain whole; nothing behind the first gap or damage."""
    common = next((row for row in rows if row.seq == held), None)
    tail = CardTail(rows[0].epoch, 0, genesis(rows[0].epoch), ())
    if common is not None:
        tail = CardTail(common.epoch, common.seq, common.hash, ())
    chained: list[FoundRow] = []
    seq, previous = tail.seq, tail.hash
    for row in rows:
        if row.seq <= held:
            continue
        seq, previous = seq + 1, link(previous, row.body)
        if (row.seq, row.hash) != (seq, previous):
            break
        chained.append(row)
    return tail._replace(rows=tuple(chained))


async def keep_at_headquarters(cloud: Cloud, site: str, tail: CardTail) -> int:
    """Hand in the rows of `tail`, going on where an earlier call was cut off; how many headquarters keeps then.

    Raises LinkDownError, and GatewayError where headquarters does not take them.
    """
    if not tail.rows:
        return 0
    path = f"/v1/gateways/{cloud.gateway}/"
    answer = await cloud.ask("GET", path + "head", query={"epoch": str(tail.epoch)})
    _check(cloud, answer)
    try:
        seq = max(msgspec.json.decode(answer.body, type=Head).seq, tail.seq)
    except msgspec.DecodeError as error:
        raise LinkDownError(f"{cloud.url} answered what cannot be read: {error}") from error
    for rows in _batches(tail.rows[seq - tail.seq :]):
        _check(cloud, await cloud.ask("POST", path + "salvaged", body=_packed(cloud.gateway, site, tail, rows)))
    return len(tail.rows)


def _check(cloud: Cloud, answer: Answer) -> None:
    if answer.status == 429 or answer.status >= 500:
        raise LinkDownError(f"{cloud.url} cannot take the card's rows now: {answer.reason}; run this again")
    if answer.status >= 300:
        raise GatewayError(f"{cloud.url} does not take the card's rows, nothing was recorded: {answer.reason}")


def _packed(gateway: str, site: str, tail: CardTail, rows: Sequence[FoundRow]) -> bytes:
    first = rows[0].seq
    header = BatchHeader(
        wire=WIRE_VERSION,
        site=site,
        gateway=gateway,
        epoch=str(tail.epoch),
        first_seq=first,
        prev_hash=(tail.hash if first == tail.seq + 1 else tail.rows[first - tail.seq - 2].hash).hex(),
        head_hash=rows[-1].hash.hex(),
        status=Status(0, "", rows[-1].seq),
        parent=(str(tail.parent), tail.seq, tail.hash.hex()),
    )
    return pack(header, [row.body for row in rows])


def _batches(rows: Sequence[FoundRow]) -> Iterator[list[FoundRow]]:
    """Runs of rows that one push takes, compressible or not."""
    run: list[FoundRow] = []
    size = 0
    for row in rows:
        if run and (len(run) == BATCH_RECORDS or size + len(row.body) > BATCH_BYTES // 2):
            yield run
            run, size = [], 0
        run.append(row)
        size += len(row.body) + 1
    if run:
        yield run
