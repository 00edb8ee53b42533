"""PostgreSQL behind several processes: concurrency, retries, news, leases, migrations both ways, one site for a statement."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import postgres
import pytest
from headquarters import BIN, CUSTOMER, DOCK, SUPPLIER, Gateway, Headquarters, movement, open_headquarters
from sqlalchemy import event, func, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from virtual import START_US, VirtualRuntime

from cloud.errors import BusyError
from cloud.forecasters import InlineForecaster
from cloud.ingest.enrolment import make_code
from cloud.schedule import LEASE_S, Schedule
from cloud.store import audit, lanes, leases, schema
from cloud.store.database import open_engine, reading, retries_of, retrying, writing
from cloud.store.migrate import migrate
from vocabulary.movement import Content, UnitEntry

pytestmark = pytest.mark.real


@pytest.fixture
def url(postgres_server: postgres.Server) -> str:
    """A migrated database of its own."""
    return postgres_server.new_database("migrated")


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    opened = open_engine(url)
    yield opened
    await opened.dispose()


@contextlib.asynccontextmanager
async def two_processes(url: str) -> AsyncIterator[tuple[Headquarters, Headquarters]]:
    """Two applications, each with its own engine and memory, on one database."""
    runtime, other = VirtualRuntime(1), VirtualRuntime(2)
    async with open_headquarters(url, runtime) as first, open_headquarters(url, other) as second:
        yield first, second


def goods(gateway: Gateway, count: int) -> None:
    """Receipts and shipments of tagged and loose goods."""
    for number in range(count):
        at, unit = START_US + number * 1_000_000, f"01/09506000134352.{number}"
        gateway.record(
            movement("receiving", SUPPLIER, DOCK, at, [("A", 5)], units=(UnitEntry(unit, holds=(Content("A", 5),)),)),
            movement("storing", DOCK, BIN, at, [("A", 5)], units=(UnitEntry(unit),)),
            movement("shipping", BIN, CUSTOMER, at, [("A", 1)]),
        )


async def test_two_processes_take_one_site_s_pushes_as_one_does(url: str) -> None:
    """A gateway whose first try was not answered tries again at the other process while the first is still at it."""
    async with two_processes(url) as (first, second):
        await first.add_site()
        gateway = await first.add_gateway()
        goods(gateway, 40)
        body = gateway.batch(1, len(gateway.bodies))
        elsewhere = Gateway(second.client, second.runtime, gateway.seed, gateway.epoch, gateway.id, gateway.site)
        answers = await asyncio.gather(*(one.push_body(body) for one in (gateway, elsewhere) * 4))
        assert [answer.status_code for answer in answers] == [200] * 8
        assert len(await second.rows(schema.ledger)) == len(gateway.bodies)
        balances = {row[1]: row[6] for row in await second.rows(schema.balance) if row[3] == "A"}
        assert balances == {"supplier": -200, "bin-1": 160, "customer": 40}


async def test_sites_are_taken_side_by_side(url: str) -> None:
    """A site whose transaction waits holds up no other site."""
    async with two_processes(url) as (first, second):
        for site in ("north", "south"):
            await first.add_site(site)
        north, south = await first.add_gateway("north", seed=1), await second.add_gateway("south", seed=2, epoch=5)
        for gateway in (north, south):
            goods(gateway, 2)
        async with writing(first.engine, "north"):
            waiting = asyncio.ensure_future(north.push())
            assert (await asyncio.wait_for(south.push(), 10)).status_code == 200
            assert not waiting.done()
        assert (await waiting).status_code == 200


async def test_a_long_poll_hears_what_the_other_process_committed(url: str) -> None:
    async with two_processes(url) as (first, second):
        await first.add_site()
        gateway = await first.add_gateway()
        path = f"/v1/gateways/{gateway.id}/downlink"
        etag = (await gateway.send("GET", path)).headers["etag"]
        with first.app.state["services"].changes.subscribe() as news:
            poll = asyncio.ensure_future(gateway.send("GET", path + "?wait=25", **{"if-none-match": etag}))
            await asyncio.sleep(1)
            owner = await second.key()
            lines = [{"line": 1, "item": "A", "quantity": 3}]
            opened = {"site": "north", "id": "PO-1", "type": "expected-receipt", "lines": lines}
            async with writing(second.engine, "") as conn:
                await conn.execute(schema.item.insert().values(id="A", name="A"))
            answer = await second.client.post("/api/v1/documents", json=opened, headers=owner)
            assert answer.status_code == 201, answer.text
            assert [one["id"] for one in (await asyncio.wait_for(poll, 5)).json()["documents"]] == ["PO-1"]
            heard = await asyncio.wait_for(news.next(), 5)
        assert (heard.site_id, "documents" in heard.kinds) == ("north", True)
        await asyncio.sleep(1.2)
        assert first.app.state["services"].changes.counter == second.app.state["services"].changes.counter


async def test_one_cycle_at_a_time_among_processes(url: str) -> None:
    async with two_processes(url) as (first, second):
        one, other = (Schedule(where.engine, where.runtime, InlineForecaster()) for where in (first, second))
        async with writing(first.engine) as conn:
            assert await leases.take(conn, "cycle", one._holder, first.runtime.now(), LEASE_S * 1_000_000)
        with pytest.raises(BusyError):
            await other.run()
        await one.run()
        await other.run()
        with pytest.raises(BusyError):  # the schedule leaves a neighbour's recent cycle alone
            await one.run("schedule", idle_s=600)


async def test_serialization_failures_are_tried_again_bounded_and_counted(engine: AsyncEngine) -> None:
    runtime = VirtualRuntime()
    tried = 0

    async def refused(times: int, state: str) -> str:
        nonlocal tried
        tried += 1
        async with writing(engine) as conn:
            await lanes.add(conn, schema.document_done, [("n", "D", 1, 1)])
            if tried <= times:
                await conn.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'met' USING ERRCODE = '{state}'; END $$")
        return "done"

    assert await retrying(engine, runtime, lambda: refused(3, "40001")) == "done"
    assert (tried, retries_of(engine).again, retries_of(engine).given_up) == (4, 3, 0)
    tried = 0
    with pytest.raises(DBAPIError):
        await retrying(engine, runtime, lambda: refused(100, "40P01"))
    assert (tried, retries_of(engine).given_up) == (6, 1)
    tried = 0
    with pytest.raises(DBAPIError):
        await retrying(engine, runtime, lambda: refused(100, "22003"))
    assert tried == 1
    async with reading(engine) as conn:
        assert (await conn.execute(select(schema.document_done.c.quantity))).scalar_one() == 1


async def test_transactions_that_deadlock_both_come_through(engine: AsyncEngine) -> None:
    async with writing(engine, "") as conn:
        for site in ("a", "b"):
            await conn.execute(schema.site.insert().values(id=site))
    met = asyncio.Barrier(2)

    async def cross(mine: str, other: str) -> None:
        async with writing(engine, mine) as conn:
            with contextlib.suppress(TimeoutError, asyncio.BrokenBarrierError):
                async with asyncio.timeout(2):
                    await met.wait()
            s = schema.site.c
            await conn.execute(update(schema.site).where(s.id == other).values(downlink=s.downlink + 1))

    both = (
        retrying(engine, VirtualRuntime(seed), lambda pair=pair: cross(*pair)) for seed, pair in enumerate(("ab", "ba"))
    )
    await asyncio.gather(*both)
    assert retries_of(engine).again >= 1
    async with reading(engine) as conn:
        assert (await conn.execute(select(func.sum(schema.site.c.downlink)))).scalar_one() == 4


async def test_the_audit_log_stays_one_chain_under_many_writers(engine: AsyncEngine) -> None:
    async def write(number: int) -> None:
        async with writing(engine) as conn:
            await audit.record(conn, number, "ann", "thing.do", "", str(number))

    await asyncio.gather(*(write(number) for number in range(20)))
    async with reading(engine) as conn:
        assert await audit.broken_at(conn) is None
        assert (await conn.execute(select(func.count()).select_from(schema.audit))).scalar_one() == 20


async def test_copy_belongs_to_the_transaction_and_names_what_it_met(engine: AsyncEngine) -> None:
    row = ("n", "D", 1, 5)

    async def append(failing: bool = False) -> None:
        async with writing(engine) as conn:
            await lanes.append(conn, schema.document_done, [row])
            if failing:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await append(failing=True)
    await append()
    with pytest.raises(IntegrityError):
        await append()
    async with reading(engine) as conn:
        assert (await conn.execute(select(func.count()).select_from(schema.document_done))).scalar_one() == 1


async def test_a_server_that_is_away_is_a_passing_problem(url: str, postgres_server: postgres.Server) -> None:
    async with open_headquarters(url, VirtualRuntime()) as headquarters:
        owner = await headquarters.key()
        postgres_server.sql(f"ALTER DATABASE {name_of(url)} WITH ALLOW_CONNECTIONS false")
        postgres_server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name_of(url)}'")
        answer = await headquarters.client.get("/api/v1/sites", headers=owner)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        postgres_server.sql(f"ALTER DATABASE {name_of(url)} WITH ALLOW_CONNECTIONS true")
        for _ in range(20):  # each broken connection of the pool is noticed once
            if (answer := await headquarters.client.get("/api/v1/sites", headers=owner)).status_code == 200:
                break
        assert answer.status_code == 200
        broken = await headquarters.client.get("/api/v1/documents/north/a%00b", headers=owner)
        assert broken.status_code == 400, broken.text


def name_of(url: str) -> str:
    return url.split("/")[3].split("?")[0]


async def test_every_statement_of_an_ingest_transaction_names_its_one_site(postgres_server: postgres.Server) -> None:
    """Two servers, each with its sites; what a push asks of its server concerns the rows of its own site alone."""
    programs = postgres.packaged_bin() or postgres.debian_bin()
    assert programs is not None
    with postgres.server(programs) as second_server:
        urls = {"north": postgres_server.new_database("migrated"), "south": second_server.new_database()}
        other = open_engine(urls["south"])
        await migrate(other)
        await other.dispose()
        async with (
            open_headquarters(urls["north"], VirtualRuntime(1)) as north_hq,
            open_headquarters(urls["south"], VirtualRuntime(2)) as south_hq,
        ):
            shards = {"north": north_hq, "south": south_hq}
            gateways = {}
            for seed, (site, hq) in enumerate(shards.items(), 1):
                await hq.add_site(site)
                await hq.add_site("elsewhere")  # more sites on each server: a statement without a site would meet them
                gateways[site] = await hq.add_gateway(site, seed=seed, epoch=seed)
                goods(gateways[site], 3)
            for site, hq in shards.items():
                with statements_of(hq.engine) as log:
                    assert (await gateways[site].push()).status_code == 200
                # who signed is looked up by the gateway's id alone: that says which site it is
                assert any(statement.lstrip().startswith("SELECT gateway.site_id") for statement, _, _ in log)
                mine = next(used for statement, _, used in log if "COPY ledger" in statement)
                transaction = [(statement, parameters) for statement, parameters, used in log if used == mine]
                assert len(transaction) > 10
                for statement, parameters in transaction:
                    assert "site_id" in statement or " site" in statement, statement
                    named = {value for value in parameters if value in ("north", "south", "elsewhere")}
                    assert named == {site}, (statement, parameters)
                assert {row[0] for row in await hq.rows(schema.ledger, "site_id")} == {site}


@contextlib.contextmanager
def statements_of(engine: AsyncEngine) -> Iterator[list[tuple[str, list[Any], int]]]:
    """Every statement with its parameters, COPY with its rows' first column, as they happen."""
    log: list[tuple[str, list[Any], int]] = []
    append = lanes.append

    def on_statement(connection: Any, _u: Any, statement: str, parameters: Any, _x: Any, many: bool) -> None:
        assert not many
        named = list(parameters.values() if isinstance(parameters, dict) else parameters)
        log.append((statement, named, id(connection)))

    async def on_append(conn: Any, table: Any, rows: Any) -> None:
        if rows:
            assert table.columns[0].name == "site_id", table.name
            log.append((f"COPY {table.name} (site_id, ...)", [row[0] for row in rows], id(conn.sync_connection)))
        await append(conn, table, rows)

    event.listen(engine.sync_engine, "before_cursor_execute", on_statement)
    lanes.append = on_append
    try:
        yield log
    finally:
        lanes.append = append
        event.remove(engine.sync_engine, "before_cursor_execute", on_statement)


async def test_of_two_codes_for_a_site_only_one_enrols(url: str) -> None:
    """Each code was made while the site had no gateway; shown to two processes at once, one of them is refused."""
    async with two_processes(url) as (first, second):
        await first.add_site()
        codes: list[str] = []
        for _ in range(2):
            async with writing(first.engine) as conn:
                codes.append(await make_code(conn, first.runtime, "north", replaces=False, actor="test"))
        gateways = [Gateway(hq.client, hq.runtime, seed, seed) for seed, hq in enumerate((first, second), 1)]
        answers = await asyncio.gather(*(one.enrol(code) for one, code in zip(gateways, codes, strict=True)))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert len(await first.rows(schema.gateway)) == 1
