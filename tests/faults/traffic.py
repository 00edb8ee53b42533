"""The whole gateway program without devices, under dense traffic: dock crossings go into its ledger as fast as it takes them.

    python tests/faults/traffic.py CONFIG WORKERS BASE FIRST [LAST]

CONFIG is the configuration of the gateway, WORKERS the crossings that are submitted at once, BASE the time of crossing 0
(microseconds UTC), FIRST the number of the first crossing to submit. With LAST it ends in order once that one is recorded
and headquarters, where there is one, holds all. What a crossing says follows from its number alone, so that one that is
submitted again after a kill is the same passage. Whatever somebody was told is printed at once, one line each:

    submitted NUMBER
    recorded NUMBER FIRST_SEQ LAST_SEQ SHA256 MICROSECONDS
                                                  the receipt, and how long it took; the hash is over the canonical bytes
    refused NUMBER TEXT                           nothing of it is recorded; it is submitted again
    pushing                                       a push is under way to headquarters
    acknowledged SEQ HASH                         headquarters' answer: it holds the rows up to SEQ
    unanswered                                    or none
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import AsyncGenerator
from hashlib import sha256
from pathlib import Path

import httpx
import msgspec
import structlog

from gateway.app import Gateway
from gateway.config import Config, load_config
from gateway.errors import GatewayError, LedgerUnavailableError
from gateway.supervisor import Supervisor
from gateway.transactions.intents import Crossed, Origin, SeenUnit
from runtime import SystemRuntime, new_event_loop
from vocabulary.identifier import check_digit, unit_key_sgtin, unit_key_sscc
from vocabulary.records import encode
from vocabulary.wire import Pushed

#: Crossings that are submitted at once: that many are in flight whenever the process is killed.
WORKERS = 8
#: Seconds until a crossing that the ledger refused is submitted again.
REFUSED_S = 0.25
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


class Traffic(Gateway):
    """The gateway, and the crossings that are submitted to it."""

    def __init__(self, config: Config, workers: int, base: int, first: int, last: int | None) -> None:
        super().__init__(config, SystemRuntime(), Overheard())
        self._base = base
        self._workers = workers
        self._numbers = itertools.count(first) if last is None else iter(range(first, last + 1))
        self._to_submit = workers
        self.finished = asyncio.Event()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator[Supervisor]:
        """The gateway's parts, and the traffic as one more task of its supervisor."""
        async with super().open() as supervisor:
            for number in range(self._workers):
                supervisor.add(f"traffic {number}", self._submit)
            yield supervisor

    async def _submit(self) -> None:
        """Submit one crossing after the other; the last worker waits until headquarters holds them all."""
        for number in self._numbers:
            await self._record(number)
        self._to_submit -= 1
        while self._to_submit == 0 and self.uplink is not None and self.uplink.behind:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.1)
        if self._to_submit == 0:
            self.finished.set()
        await asyncio.Event().wait()

    async def _record(self, number: int) -> None:
        """Submit one crossing until it is recorded."""
        told("submitted", number)
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                receipt = await self.writer.submit(crossing(number, self._base))
            except LedgerUnavailableError as error:
                told("refused", number, error)
                await asyncio.sleep(REFUSED_S)
            else:
                digest = sha256(b"\n".join(map(encode, receipt.records))).hexdigest()
                took = int((loop.time() - began) * 1_000_000)
                told("recorded", number, receipt.first_seq, receipt.last_seq, digest, took)
                return


async def traffic(words: list[str]) -> None:
    """Run until stopped, or until the last crossing is at headquarters."""
    workers, base, first, *last = map(int, words[1:])
    gateway = Traffic(load_config(Path(words[0])), workers, base, first, last[0] if last else None)
    running = asyncio.ensure_future(gateway.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    finishing = asyncio.ensure_future(gateway.finished.wait())
    await asyncio.wait((running, finishing), return_when=asyncio.FIRST_COMPLETED)
    finishing.cancel()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def main() -> None:
    """The program; logs to standard error as the gateway does."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(traffic(sys.argv[1:]))
    except GatewayError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
