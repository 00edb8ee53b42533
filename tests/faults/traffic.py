"""A gateway without devices under dense traffic: dock crossings go into its ledger as fast as it takes them.

    python tests/faults/traffic.py CONFIG BASE FIRST [LAST]

CONFIG is the configuration of an enrolled gateway, BASE the time of crossing 0 (microseconds UTC), FIRST the number of
the first crossing to submit. With LAST it ends in order once that one is recorded and headquarters holds all. What a
crossing says follows from its number alone, so that one that is submitted again after a kill is the same passage.
Whatever somebody was told is printed at once, one line each:

    submitted NUMBER
    recorded NUMBER FIRST_SEQ LAST_SEQ SHA256     the receipt; the hash is over the records' canonical bytes
    pushing                                       a push is under way to headquarters
    acknowledged SEQ HASH                         headquarters' answer: it holds the rows up to SEQ
    unanswered                                    or none
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import msgspec

from gateway.app import Gateway
from gateway.config import load_config
from gateway.transactions.intents import Crossed, Origin, SeenUnit
from runtime import SystemRuntime, new_event_loop
from vocabulary.identifier import check_digit, unit_key_sgtin, unit_key_sscc
from vocabulary.records import encode
from vocabulary.wire import Pushed

#: Crossings that are submitted at once: that many are in flight whenever the process is killed.
WORKERS = 8
#: Microseconds from one crossing to the next, and of the passage itself.
STEP_US, PASSAGE_US = 1_000_000, 700_000
#: A pallet that came in as crossing N (N % 3 == 0) leaves as crossing N + STAY.
STAY = 20
#: GS1's own example company prefix, and the GTIN of a case.
PREFIX = 9_506_000
CASE = f"1{PREFIX}00001" + str(check_digit(int(f"1{PREFIX}00001")))
CASES = 3


def crossing(number: int, base: int) -> Crossed:
    """What crossing `number` says: a pallet comes in, or one that came in before leaves."""
    leaves = number % 3 == 2 and number >= STAY
    pallet = number - STAY if leaves else number
    digits = int(f"1{PREFIX}{pallet:09d}")
    units = [unit_key_sscc(f"{digits}{check_digit(digits)}")]
    units += [unit_key_sgtin(CASE, str(pallet * 10 + case)) for case in range(CASES)]
    first = base + number * STEP_US
    last = first + PASSAGE_US
    return Crossed(
        occurred_at=last,
        origin=Origin(read_point="dock-1", interval=(first, last), rule="dock-door/1", confidence=990),
        place="dock-1",
        direction="out" if leaves else "in",
        units=tuple(map(SeenUnit, units)),
    )


def told(*words: object) -> None:
    """Print a line whole: what was printed before a kill was told."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Overheard(httpx.AsyncHTTPTransport):
    """The network to headquarters, with an ear on the pushes."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/ledger"):
            return await super().handle_async_request(request)
        told("pushing")
        try:
            answer = await super().handle_async_request(request)
            body = await answer.aread()
        except httpx.HTTPError:
            told("unanswered")
            raise
        if answer.status_code == 200:
            pushed = msgspec.json.decode(body, type=Pushed)
            told("acknowledged", pushed.acked_seq, pushed.head_hash)
        else:
            told("unanswered")
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)


async def submit(gateway: Gateway, numbers: Iterator[int], base: int) -> None:
    """Submit one crossing after the other for ever."""
    for number in numbers:
        told("submitted", number)
        receipt = await gateway.writer.submit(crossing(number, base))
        digest = sha256(b"\n".join(map(encode, receipt.records))).hexdigest()
        told("recorded", number, receipt.first_seq, receipt.last_seq, digest)


async def main() -> None:
    """Run until killed, or until crossing LAST is at headquarters."""
    config, base, first = load_config(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
    numbers = iter(range(first, int(sys.argv[4]) + 1)) if len(sys.argv) > 4 else itertools.count(first)
    gateway = Gateway(config, SystemRuntime(), Overheard())
    async with gateway.open() as supervisor:
        running = asyncio.ensure_future(supervisor.run())
        await asyncio.gather(*(submit(gateway, numbers, base) for _ in range(WORKERS)))
        uplink = gateway.uplink
        assert uplink is not None
        while uplink.behind:  # noqa: ASYNC110 - the uplink tells nobody
            await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())
