"""A gateway dies, a spare box takes the site over by one command, and what the dead card never sent is salvaged later."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import observer
import traffic
from damaged import of_snapshot, real_balances, standing
from outcome import Outcome
from processes import BIN, ask, until
from sites import DenseSite, Headquarters, fill_in, owner_key, paced

from gateway.ledger.check import verify_ledger
from gateway.ledger.packing import unpack

#: How many times faster the programs' clocks run.
FACTOR = 4
#: Rows that headquarters holds before it goes away, and rows that only the dead card has; rows of the spare before the salvage.
HELD, TAIL, SPARE = 200, 60, 100
#: Seconds that a program may take.
START_S, SETTLE_S = 60.0, 90.0
#: Crossings between those of the dead gateway and those of the spare.
GAP = 100_000


def play(folder: Path, seed: int) -> Outcome:
    """Play it once."""
    return asyncio.run(_play(folder))


async def _play(folder: Path) -> Outcome:
    environment = paced(FACTOR)
    outcome = Outcome({})
    base = time.time_ns() // 1_000 - 48 * 3_600_000_000
    async with AsyncExitStack() as stack:
        cloud = Headquarters(folder, environment, await owner_key(folder, environment))
        stack.push_async_callback(cloud.client.aclose)
        dead = DenseSite("north", folder, cloud.url, environment, base)
        spare = DenseSite("spare", folder, cloud.url, environment, base)
        spare.last_submitted = GAP + traffic.STAY  # its goods are others: it begins with pallets that come in
        for program in (cloud.program, dead.program, spare.program):
            stack.push_async_callback(program.end)
        await cloud.start()
        await dead.enrol((await fill_in(cloud, (dead.name,)))[dead.name])
        await dead.start()
        await until(lambda: dead.last_acknowledged >= HELD, START_S)
        await cloud.program.stop()
        await until(lambda: dead.last_recorded >= dead.last_acknowledged + TAIL, START_S)
        await dead.program.kill()
        card = folder / "card"
        shutil.copytree(dead.ledger.parent, card)
        await cloud.start()
        unsent = dead.head() - cloud.rows(dead.name)
        outcome.counts |= {"takeovers": 1, "rows only on the dead card": unsent}
        began = time.monotonic()
        code = (await cloud.ask("POST", f"/sites/{dead.name}/enrolment-codes", {"replaces": True}))["code"]
        await spare.enrol(code)
        outcome.counts["takeover s, slowest"] = round(time.monotonic() - began, 1)
        opened = real_balances(cloud.database, dead.name, observer.gateway_rows(spare.ledger))
        outcome.faults += [f"opened with another stock: {fault}" for fault in opened]
        await spare.start()
        await until(lambda: spare.last_acknowledged >= SPARE, START_S)
        outcome.faults += await _dead_is_refused(dead, cloud, spare)
        outcome.faults += await _salvage(spare, card, environment)
        await spare.program.kill()
        await spare.start(spare.last_submitted + spare.workers)
        status = await spare.program.finished(SETTLE_S)
        outcome.faults += [f"the spare ended with {status}: {spare.program.last_words()}"] if status else []
        await cloud.program.stop()
        outcome.faults += _judge(dead, spare, cloud, card)
    return outcome


async def _dead_is_refused(dead: DenseSite, cloud: Headquarters, spare: DenseSite) -> list[str]:
    """The dead box wakes up again: headquarters takes nothing of it."""
    held = dead.last_acknowledged
    await dead.program.start(dead.config, dead.workers, dead.base, dead.last_submitted + 1)
    before = spare.last_acknowledged
    with suppress(TimeoutError):
        await until(lambda: spare.last_acknowledged > before + SPARE, START_S)
    await dead.program.end()
    return [f"headquarters took {dead.last_acknowledged - held} rows of a revoked gateway"] * (
        dead.last_acknowledged > held
    )


async def _salvage(spare: DenseSite, card: Path, environment: dict[str, str]) -> list[str]:
    """`evercount-gateway salvage`, while the spare runs; waits until it has recorded the facts."""
    command = (BIN / "evercount-gateway", "salvage", card / "ledger.db", "--config", spare.config, "--json")
    status, text = await ask(*command, environment=environment)
    if status:
        return [f"salvage ended with status {status}: {text[-500:]}"]
    folder = spare.ledger.parent / "salvage"
    with suppress(TimeoutError):
        await until(lambda: any(folder.glob("*.done")), SETTLE_S)
        return []
    return ["the salvaged facts were not recorded"]


def _judge(dead: DenseSite, spare: DenseSite, cloud: Headquarters, card: Path) -> list[str]:
    """Every crossing of either box stands once at headquarters, whose stock is the spare's."""
    told = [row for row in observer.cloud_rows(cloud.database, dead.name) if not of_snapshot(row)]
    there = standing(told)
    kept = observer.query(card / "ledger.db", "SELECT epoch, seq, body, hash FROM ledger ORDER BY seq")
    on_card = standing(observer.Row(epoch, seq, unpack(body), row_hash) for epoch, seq, body, row_hash in kept)
    rows = observer.gateway_rows(spare.ledger)
    faults = list(verify_ledger(spare.ledger).faults)
    faults += [f"{key} of the dead card is lost" for key in on_card if key not in there][:5]
    faults += [f"{key} of the spare is not at headquarters" for key in standing(rows) if key not in there][:5]
    faults += [f"{key} stands {times} times" for key, times in there.items() if times > 1][:5]
    return faults + real_balances(cloud.database, dead.name, rows)
