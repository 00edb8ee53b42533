"""`evercount-cloud`: serve headquarters, and the few things done beside it from the command line."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal, TypeVar

import click
import msgspec
from rich.console import Console
from rich.progress import Progress, TaskID
from sqlalchemy import make_url, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from cloud.access import accounts
from cloud.access.passwords import Passwords
from cloud.access.principal import ROLES
from cloud.config import Config
from cloud.errors import CloudError
from cloud.files import Source
from cloud.ingest.enrolment import make_code
from cloud.inputs.imports import KINDS, OPERATOR, Import, Outcome, bring
from cloud.projections.rebuild import Report, verify_site
from cloud.store import audit, schema
from cloud.store.copy import Copied, copy_database
from cloud.store.database import open_engine, reading, writing
from cloud.store.migrate import check_version, migrate
from runtime import Runtime, SystemRuntime, new_event_loop
from runtime.notify import credential
from runtime.toml import ConfigError, load

T = TypeVar("T")

#: Who acts, in the audit log: somebody at the machine itself.
ACTOR = "command-line"
#: The credential that holds the database's URL, for it may hold a password; goes before the file's.
DATABASE_CREDENTIAL = "evercount-database-url"


class _Undo(Exception):
    """Rolls a transaction back after it was looked at."""


class _Failure(click.ClickException):
    """Bad input, told in one sentence: exits as bad usage does."""

    exit_code = 2


def _run(main: Callable[[], Awaitable[T]]) -> T:
    """Run `main`; a failure is one sentence on stderr and exit status 2."""
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(_awaited(main))
    except (CloudError, ConfigError) as error:
        raise _Failure(str(error)) from None
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise _Failure(f"the database cannot be used: {cause}") from None


async def _awaited(main: Callable[[], Awaitable[T]]) -> T:
    return await main()


@click.group(help=__doc__)
@click.option("--config", "path", type=click.Path(path_type=Path), help="TOML file; without one the defaults hold.")
@click.option("--database", "url", help="Database URL, instead of the file's.")
@click.version_option(package_name="evercount")
@click.pass_context
def main(context: click.Context, path: Path | None, url: str | None) -> None:
    try:
        config = load(path, Config) if path else Config()
        secret = credential(DATABASE_CREDENTIAL)
        if secret is not None and not url:
            url = secret.read_text().strip()
        if url:
            config = msgspec.structs.replace(config, database=type(config.database)(url))
    except (ConfigError, ValueError, OSError) as error:
        raise _Failure(str(error)) from None
    context.obj = config


async def _with_engine(config: Config, job: Callable[[AsyncEngine, Runtime], Awaitable[T]]) -> T:
    engine = open_engine(config.database.url)
    try:
        await check_version(engine)
        return await job(engine, SystemRuntime())
    finally:
        await engine.dispose()


@main.command()
@click.option("--host", help="Address to bind, instead of the file's.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to bind, instead of the file's.")
@click.pass_obj
def serve(config: Config, host: str | None, port: int | None) -> None:
    """Serve the API, the pages and the gateways until stopped."""
    from cloud.app import build, settle_memory  # these cost half a second: only where it serves
    from cloud.serving import serve_until_stopped

    async def job() -> None:
        await _with_engine(config, _nothing)
        app = build(config, SystemRuntime())
        settle_memory()
        address = host or config.server.host, config.server.port if port is None else port
        await serve_until_stopped(
            app, *address, lambda bound: click.echo(f"serving http://{address[0]}:{bound}", err=True)
        )

    _run(job)


async def _nothing(_: AsyncEngine, __: Runtime) -> None:
    """Open the database and see that it fits."""


@main.command("migrate")
@click.pass_obj
def migrate_command(config: Config) -> None:
    """Create the database, or bring it to this version's tables."""

    async def job() -> str:
        engine = open_engine(config.database.url)
        try:
            return await migrate(engine)
        finally:
            await engine.dispose()

    click.echo(f"the database is at version {_run(job)}")


@main.command("create-user")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES[:-1]), default="owner", show_default=True)
@click.option("--site", default="", help="Only at this site; without it at every site.")
@click.option("--link", is_flag=True, help="Print a one-time sign-in link instead of taking a password.")
@click.pass_obj
def create_user(config: Config, name: str, role: str, site: str, link: bool) -> None:
    """Create a person; the password is asked for, or read from standard input."""
    password = "" if link else _password()

    async def job(engine: AsyncEngine, runtime: Runtime) -> str:
        hashed = await Passwords(runtime).hash(password) if password else ""
        async with writing(engine) as conn:
            await accounts.create_user(conn, runtime, name, accounts.role_of(role), site, hashed, ACTOR)
            return await accounts.make_link(conn, runtime, name, ACTOR) if link else ""

    token = _run(lambda: _with_engine(config, job))
    if token:
        url = config.server.public_url.rstrip("/") or f"http://{config.server.host}:{config.server.port}"
        click.echo(f"{url}/sign-in/{token}")
    else:
        click.echo(f"{name} can sign in as {role}")


def _password() -> str:
    if sys.stdin.isatty():
        return click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return sys.stdin.readline().rstrip("\n")


@main.command("api-key")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True)
@click.option("--site", default="", help="Only at this site; without it at every site.")
@click.option("--partner", default="", help="The supplier or customer, with the role partner.")
@click.pass_obj
def api_key(config: Config, name: str, role: str, site: str, partner: str) -> None:
    """Print a new API key; it is told once."""

    async def job(engine: AsyncEngine, runtime: Runtime) -> str:
        async with writing(engine) as conn:
            return await accounts.make_key(conn, runtime, name, accounts.role_of(role), site, partner, ACTOR)

    click.echo(_run(lambda: _with_engine(config, job)))


@main.command("enrolment-code")
@click.argument("site")
@click.option("--replace", is_flag=True, help="The gateway that uses the code takes the place of the present one.")
@click.pass_obj
def enrolment_code(config: Config, site: str, replace: bool) -> None:
    """Print a one-time code with which a gateway enrols for SITE within an hour."""

    async def job(engine: AsyncEngine, runtime: Runtime) -> str:
        async with writing(engine) as conn:
            return await make_code(conn, runtime, site, replaces=replace, actor=ACTOR)

    click.echo(_run(lambda: _with_engine(config, job)))


async def _verify(engine: AsyncEngine, progress: Progress, *, repair: bool) -> tuple[list[Report], int | None]:
    """What each site's projections and chains differ in, and the first row of the audit log that does not fit."""
    async with reading(engine) as conn:
        sites = list((await conn.execute(select(schema.site.c.id).order_by(schema.site.c.id))).scalars())
        broken = await audit.broken_at(conn)
    reports: list[Report] = []
    for site_id in sites:
        task = progress.add_task(site_id, total=None)

        def show(done: int, total: int, task: TaskID = task) -> None:
            progress.update(task, completed=done, total=total)

        try:
            async with writing(engine, site_id) as conn:
                reports.append(await verify_site(conn, site_id, show))
                if not repair:
                    raise _Undo
        except _Undo:
            pass
    return reports, broken


@main.command("copy-database")
@click.argument("source")
@click.argument("target")
@click.option("--json", "as_json", is_flag=True)
def copy_command(source: str, target: str, as_json: bool) -> None:
    """Copy the database at the URL SOURCE into the empty one at TARGET, and verify the copy. Stop the server before."""

    async def job() -> tuple[list[Copied], list[Report], int | None]:
        engines = open_engine(source), open_engine(target)
        try:
            with Progress(console=Console(stderr=True), disable=as_json) as progress:
                tasks: dict[str, TaskID] = {}

                def show(table: str, done: int, total: int) -> None:
                    if table not in tasks:
                        tasks[table] = progress.add_task(table)
                    progress.update(tasks[table], completed=done, total=total)

                copied = await copy_database(*engines, show)
                return copied, *await _verify(engines[1], progress, repair=False)
        finally:
            for engine in engines:
                await engine.dispose()

    if source == target:
        raise _Failure("SOURCE and TARGET are the same database")
    file = make_url(source).database
    if source.startswith("sqlite") and not Path(file or "").is_file():  # opening it would make it
        raise _Failure(f"{source}: there is no such file; an absolute path has four slashes")
    copied, reports, broken = _run(job)
    wrong = [f"{one.site_id}: {text}" for one in reports for text in one.differences]
    if broken is not None:
        wrong.append(f"audit log: broken at row {broken}")
    if as_json:
        click.echo(json.dumps({"tables": [one._asdict() for one in copied], "differences": wrong}))
    else:
        for one in copied:
            click.echo(f"{one.table}: {one.rows} rows, {one.checksum[:16]}")
        click.echo("; ".join(wrong) or "counts and checksums agree; the copy verifies")
    sys.exit(1 if wrong else 0)


@main.command()
@click.option("--repair", is_flag=True, help="Keep what was derived anew.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def verify(config: Config, repair: bool, as_json: bool) -> None:
    """Check every chain, derive every projection anew and compare; exit status 1 where something differs."""

    async def job(engine: AsyncEngine, _: Runtime) -> tuple[list[Report], int | None]:
        with Progress(console=Console(stderr=True), disable=as_json) as progress:
            return await _verify(engine, progress, repair=repair)

    reports, broken = _run(lambda: _with_engine(config, job))
    audit_text = "intact" if broken is None else f"broken at row {broken}"
    if as_json:
        sites = [{"site": one.site_id, "records": one.records, "differences": list(one.differences)} for one in reports]
        click.echo(json.dumps({"sites": sites, "audit": audit_text}))
    else:
        for one in reports:
            click.echo(f"{one.site_id}: {one.records} records, {'; '.join(one.differences) or 'everything agrees'}")
        click.echo(f"audit log: {audit_text}")
    sys.exit(1 if broken is not None or any(one.differences for one in reports) else 0)


@main.command("cycle")
@click.option("--site", "sites", multiple=True, help="Only this site; may be given several times.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def cycle_command(config: Config, sites: tuple[str, ...], as_json: bool) -> None:
    """Run one decision cycle: forecast what changed and bring the proposals in line."""
    from cloud.forecasters import close, open_forecaster
    from cloud.schedule import CycleReport, Schedule

    async def job(engine: AsyncEngine, runtime: Runtime) -> CycleReport:
        forecaster = open_forecaster(config.forecast)
        with Progress(console=Console(stderr=True), disable=as_json) as progress:
            task = progress.add_task("read", total=None)

            def show(stage: str, done: int, total: int) -> None:
                progress.update(task, description=stage, completed=done, total=total)

            try:
                schedule = Schedule(engine, runtime, forecaster, serving=False)
                return await schedule.run("request", sites or None, show)
            finally:
                await close(forecaster)

    report = _run(lambda: _with_engine(config, job))
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
    else:
        click.echo(
            f"{report.series} series at {report.sites} sites, {report.forecast} forecast anew; proposals: "
            f"{report.proposals.made} new, {report.proposals.stayed} as before, {report.proposals.ended} ended"
        )


@main.command("import")
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check everything, store nothing.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def import_command(config: Config, kind: str, file: Path, dry_run: bool, as_json: bool) -> None:
    """Read KIND from FILE (CSV, XLSX or Parquet; the first line names the columns). All rows are stored, or none.

    Every row that cannot be used is named, and the exit status is 2.
    """

    async def job(engine: AsyncEngine, runtime: Runtime) -> Outcome:
        quiet = as_json or not sys.stderr.isatty()
        with Progress(console=Console(stderr=True), disable=quiet, transient=True) as progress:
            task = progress.add_task(f"reading {file.name}", total=None)
            coming = Import(
                runtime,
                OPERATOR,
                kind,
                Source(str(file), file),
                lambda done, total: progress.update(task, completed=done, total=total or None),
            )
            return await bring(coming, lambda: reading(engine), lambda: writing(engine, ""), dry_run=dry_run)

    try:
        outcome = _run(lambda: _with_engine(config, job))
    except _Failure as failure:
        if as_json:
            errors = [{"line": 0, "field": "", "text": failure.message}]
            click.echo(json.dumps({"kind": kind, "rows": 0, "stored": 0, "errors": errors}))
        raise
    if as_json:
        told = {"kind": kind, "rows": outcome.rows, "stored": outcome.stored}
        click.echo(json.dumps(told | {"errors": [one._asdict() for one in outcome.errors]}))
    for one in outcome.errors:
        click.echo(f"{file}:{one.line}: {one.sentence()}", err=True)
    if outcome.errors:
        if outcome.faults > len(outcome.errors):
            click.echo(
                f"{file}: {outcome.faults - len(outcome.errors)} more rows are bad; nothing was stored", err=True
            )
        sys.exit(2)
    if not as_json:
        if outcome.passed_over:
            click.echo(f"columns that were not used: {', '.join(outcome.passed_over)}", err=True)
        click.echo(f"{outcome.rows} rows of {kind} {'are good; nothing was stored' if dry_run else 'stored'}")


@main.command("replay")
@click.option("--demand", required=True, type=click.Path(path_type=Path), help="site,sku,date,quantity[,price,...]")
@click.option("--items", type=click.Path(path_type=Path), help="sku,unit_cost,lead_time_days,order_cost,... [,min,max]")
@click.option("--policy", type=click.Choice(["both", "static", "dynamic"]), default="both", show_default=True)
@click.option("--unserved", type=click.Choice(["waits", "lost"]), default="waits", show_default=True)
@click.option("--seeds", type=click.IntRange(1, 20), default=3, show_default=True, help="Draws of the lead times.")
@click.option("--json", "as_json", is_flag=True)
def replay_command(
    demand: Path,
    items: Path | None,
    policy: Literal["both", "static", "dynamic"],
    unserved: Literal["waits", "lost"],
    seeds: int,
    as_json: bool,
) -> None:
    """What would the forecast have saved on this demand, against the textbook and your own Min and Max?"""
    from cloud.replay.command import run  # the models cost a second: only where they are asked for

    try:
        told = run(demand, items, policy, unserved, seeds, as_json)
    except CloudError as error:
        raise _Failure(str(error)) from None
    if told is not None:
        click.echo(told)


@main.group()
def forecast() -> None:
    """Forecasts of demand: how good they are."""


@forecast.command("backtest")
@click.option("--demand", required=True, type=click.Path(path_type=Path), help="site,sku,date,quantity[,price,...]")
@click.option("--drivers", type=click.Path(path_type=Path), help="date[,site][,sku],name,value[,known_until]")
@click.option("--horizon", type=click.IntRange(1, 400), help="Periods of the demand file ahead.")
@click.option(
    "--folds", type=click.IntRange(1, 50), default=3, show_default=True, help="Past origins, a horizon apart."
)
@click.option("--country", default="", help="Whose public holidays count, such as DE.")
@click.option("--json", "as_json", is_flag=True)
def backtest_command(
    demand: Path, drivers: Path | None, horizon: int | None, folds: int, country: str, as_json: bool
) -> None:
    """Forecast from past origins, and measure beside models that anyone can name."""
    from cloud.replay.backtest_command import run  # the models cost seconds: only where they are asked for

    try:
        told = run(demand, drivers, horizon, folds, country, as_json)
    except CloudError as error:
        raise _Failure(str(error)) from None
    if told is not None:
        click.echo(told)


if __name__ == "__main__":
    main()
