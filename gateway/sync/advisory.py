"""What the site holds now, told before and while a long history arrives: headquarters shows it until the rows are there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import Executor

from gateway.errors import LinkDownError
from gateway.ledger.writer import LedgerWriter
from gateway.sync.batch import pack_json
from gateway.sync.http import Cloud
from runtime import Runtime
from vocabulary import wire
from vocabulary.place import Account, is_virtual
from vocabulary.stock import Amount, Key
from vocabulary.wire import BalanceLine

#: Lines of one part: 20,000 are 2 MB of JSON and 200 to 400 kB on the wire, well below a body's bound.
LINES = 20_000
#: Least time between two, so that new movements show: seconds, and times what the last one took, so that it stays advice.
EVERY_S, EVERY_SHARE = 10.0, 20.0


class Advisory:
    """Tells the present balances, now and then."""

    def __init__(self, cloud: Cloud, writer: LedgerWriter, runtime: Runtime, executor: Executor | None) -> None:
        self._cloud = cloud
        self._writer = writer
        self._runtime = runtime
        self._executor = executor
        self._next = 0  # when they are told again at the earliest, monotonic microseconds

    async def tell(self, *, at_once: bool = False) -> None:
        """Tell the balances where it is time to, or `at_once`. Only advice: what goes wrong here stops nothing."""
        begun = self._runtime.monotonic()
        if begun < self._next and not at_once:
            return
        head, now = self._writer.head, self._runtime.now()
        balances = await self._writer.read(lambda state: list(state.stock.balances.items()))
        bodies = await asyncio.get_running_loop().run_in_executor(
            self._executor, parts, str(head.epoch), head.seq, now, balances
        )
        try:
            for body in bodies:
                answer = await self._cloud.ask("POST", f"/v1/gateways/{self._cloud.gateway}/advisory", body=body)
                if answer.status >= 300:
                    break
        except LinkDownError:
            pass  # the rows are tried all the same
        ended = self._runtime.monotonic()
        self._next = ended + round(max(EVERY_S * 1_000_000, EVERY_SHARE * (ended - begun)))


def parts(epoch: str, seq: int, at: int, balances: Iterable[tuple[Key, Amount]]) -> list[bytes]:
    """The balances of the site's real places after row `seq`, in a fixed order, as the bodies of advisory requests."""
    lines = [
        BalanceLine(
            Account(key.place, key.status),
            key.item,
            amount.quantity,
            lot=key.lot,
            expiry=key.expiry,
            grams=amount.grams,
        )
        for key, amount in sorted(balances)
        if not is_virtual(key.place)
    ]
    count = max(1, -(-len(lines) // LINES))
    return [
        pack_json(wire.Advisory(epoch, seq, at, tuple(lines[part * LINES : (part + 1) * LINES]), part, count))
        for part in range(count)
    ]
