"""evercount-gateway: what a technician types."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click
import msgspec
import structlog

from gateway.config import load_config
from gateway.errors import GatewayError
from gateway.supervisor import GivenUp
from runtime import SystemRuntime, new_event_loop
from runtime.notify import AUTHORITY, credential
from runtime.toml import ConfigError
from vocabulary import barcode as barcode_codes
from vocabulary import epc as epc_codes


def _keep_owner(context: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """What root makes in the ledger's folder belongs to the folder's owner in the end: the service runs as that user."""
    if path is not None and os.geteuid() == 0:
        context.call_on_close(lambda: _hand_over(path))
    return path


def _hand_over(config_file: Path) -> None:
    try:
        folder = Path(load_config(config_file).ledger.folder)
        owner = folder.stat()
    except (ConfigError, OSError):
        return
    if owner.st_uid:
        for entry in folder.rglob("*"):
            if entry.lstat().st_uid == 0:
                os.chown(entry, owner.st_uid, owner.st_gid, follow_symlinks=False)


_CONFIG = click.option(
    "--config",
    "config_file",
    required=True,
    type=click.Path(path_type=Path),
    callback=_keep_owner,
    help="The gateway's TOML file.",
)


class _Program(click.Group):
    """Turns every expected error into one sentence on stderr and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GivenUp as error:
            click.echo(f"evercount-gateway: {error}", err=True)
            sys.exit(1)
        except (GatewayError, ConfigError, ValueError, OSError) as error:
            click.echo(f"evercount-gateway: {error}", err=True)
            sys.exit(2)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Keeps the count of one warehouse true."""


@main.command()
@_CONFIG
def run(config_file: Path) -> None:
    """Run the gateway until it is told to stop."""
    from gateway.app import Gateway

    config = load_config(config_file)
    _log_to_stderr()
    _until_stopped(lambda: Gateway(config, SystemRuntime()).run())


@main.command("check-config")
@click.argument("file", type=click.Path(path_type=Path))
def check_config(file: Path) -> None:
    """Say whether FILE can be used, and what would be read from it."""
    config = load_config(file)
    points = sum(len(reader.antennas) for reader in config.reader)
    click.echo(f"{file}: good: {len(config.reader)} readers, {points} read points, {len(config.door)} doors")


@main.command()
@_CONFIG
@click.option("--cloud", "url", required=True, help="Address of headquarters.")
@click.option("--code", required=True, help="The one-time code that headquarters gave for the site.")
def enrol(config_file: Path, url: str, code: str) -> None:
    """Make this gateway the one that speaks for a site."""
    from gateway.app import ledger_path
    from gateway.config import CloudConfig
    from gateway.ledger.writer import LedgerWriter
    from gateway.sync.enrolment import apply_opening
    from gateway.sync.enrolment import enrol as hand_in
    from gateway.sync.http import Cloud
    from gateway.sync.identity import load_or_make_identity

    config = load_config(config_file)
    CloudConfig(url)

    async def work() -> None:
        runtime = SystemRuntime()
        path = ledger_path(config)
        identity = load_or_make_identity(path.parent, runtime)
        writer = await LedgerWriter.open(path, runtime)
        cloud = Cloud(url, identity, runtime, authority=credential(AUTHORITY))
        try:
            record = await hand_in(cloud, identity, code, writer.head.epoch, path.parent)
            pages = await apply_opening(cloud, record, writer, runtime)
        finally:
            await cloud.close()
            await writer.close()
        click.echo(f"gateway {identity.gateway} now speaks for site {record.enrolled.site} ({record.enrolled.name})")
        if pages:
            click.echo(f"what the site holds is recorded ({pages} pages); readers may be connected")
            click.echo("what the old gateway still held: evercount-gateway salvage LEDGER --config FILE")

    _run(work)


@main.command()
@click.argument("db", type=click.Path(path_type=Path))
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="The TOML file of the gateway that records."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be recorded.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def salvage(db: Path, config_file: Path | None, dry_run: bool, as_json: bool) -> None:
    """Record what the ledger DB of a dead gateway holds and headquarters never got. This gateway may be running.

    Without --config it only says what can be read.
    """
    from gateway.app import ledger_path
    from gateway.ledger.store import LedgerReader
    from gateway.sync.http import Cloud
    from gateway.sync.identity import load_enrolment, load_or_make_identity
    from gateway.sync.salvage import examine, hand_over, in_words, look

    if config_file is None:
        found = look(db)
        click.echo(_json(found) if as_json else in_words(found, asked=False))
        return
    path = ledger_path(load_config(config_file))

    async def work() -> None:
        enrolled = load_enrolment(path.parent)
        runtime = SystemRuntime()
        reader = await LedgerReader.open(path)
        identity = load_or_make_identity(path.parent, runtime)
        cloud = Cloud(enrolled.cloud, identity, runtime, authority=credential(AUTHORITY))
        try:
            own = (await reader.branch()).epoch
            found, facts = await examine(db, cloud, enrolled.enrolled.site, own, keep=not dry_run)
        finally:
            await cloud.close()
            await reader.close()
        if facts and not dry_run:
            found.handed_to = str(hand_over(path.parent, found, facts))
        click.echo(_json(found) if as_json else in_words(found))

    _run(work)


@main.command()
@_CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(config_file: Path, as_json: bool) -> None:
    """Say who this gateway is, how far its ledger is, and what headquarters holds of it."""
    from gateway.app import ledger_path
    from gateway.errors import NotEnrolledError
    from gateway.ledger.store import LedgerReader
    from gateway.sync.identity import load_enrolment
    from gateway.sync.standing import Standing

    path = ledger_path(load_config(config_file))

    async def work() -> None:
        try:
            enrolled = load_enrolment(path.parent)
            site, gateway, cloud = enrolled.enrolled.site, enrolled.enrolled.gateway, enrolled.cloud
        except NotEnrolledError:
            site = gateway = cloud = ""
        if not path.exists():
            raise GatewayError(f"{path}: there is no ledger yet; enrol or run the gateway first")
        reader = await LedgerReader.open(path)
        try:
            head, acknowledged = await reader.head(), await reader.acknowledged()
        finally:
            await reader.close()
        found = {
            "site": site,
            "gateway": gateway,
            "cloud": cloud,
            "ledger": str(path),
            "epoch": str(head.epoch),
            "seq": head.seq,
            "hash": head.hash.hex(),
            "acknowledged": acknowledged,
            "revoked": Standing(path.parent).revoked,
        }
        click.echo(_json(found) if as_json else "\n".join(f"{name:13}{value}" for name, value in found.items()))

    _run(work)


@main.command()
@_CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(config_file: Path, as_json: bool) -> None:
    """Look at machine, folder, readers and headquarters, and say what to do. Exit code 1 when something fails."""
    from gateway.app import ledger_path
    from gateway.doctor.examine import examine

    config = load_config(config_file)

    async def work() -> None:
        found = await examine(config, SystemRuntime(), ledger_path(config))
        failed = any(finding.state == "fail" for finding in found)
        if as_json:
            click.echo(_json({"ok": not failed, "findings": found}))
        else:
            for finding in found:
                click.echo(f"{finding.state:5}{finding.check}: {finding.text}")
                if finding.advice:
                    click.echo(f"     -> {finding.advice}")
        sys.exit(1 if failed else 0)

    _run(work)


@main.command()
@_CONFIG
@click.option("--strays", default=0, show_default=True, help="Tags that stand near the doors.")
@click.option("--control-port", default=0, show_default=True, help="Where pallets can be sent; 0 takes a free port.")
def simulate(config_file: Path, strays: int, control_port: int) -> None:
    """Emulate the readers of a configuration; prints their addresses and runs until it is told to stop."""
    from gateway.simulation.control import Control
    from gateway.simulation.warehouse import Warehouse, emulate

    config = load_config(config_file)
    hardware = emulate(
        [(reader.name, reader.host, reader.port) for reader in config.reader],
        [(door.name, door.inside, door.outside) for door in config.door],
        strays,
    )

    async def work() -> None:
        runtime = SystemRuntime()
        warehouse = Warehouse(runtime, hardware)
        await warehouse.start()
        control = Control(runtime, warehouse, port=control_port)
        await control.start()
        try:
            for reader in warehouse.readers.values():
                click.echo(_json({"reader": reader.name, "host": reader.host, "port": reader.port}))
            click.echo(_json({"control": f"127.0.0.1:{control.port}"}))
            sys.stdout.flush()
            await asyncio.Event().wait()
        finally:
            await control.stop()
            await warehouse.stop()

    _until_stopped(work)


@main.group()
def decode() -> None:
    """Decode what tags, labels and readers say."""


@decode.command("epc")
@click.argument("codes", nargs=-1, required=True, metavar="HEX...")
def decode_epc(codes: tuple[str, ...]) -> None:
    """One JSON line for each EPC in hex."""
    for code in codes:
        click.echo(_json(epc_codes.as_json(epc_codes.decode(code))))


@decode.command("barcode")
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
@click.option("--fnc1", default="\x1d", help="The character that stands for FNC1, where the scanner sends another one.")
def decode_barcode(texts: tuple[str, ...], fnc1: str) -> None:
    """One JSON line for each code; TEXT may begin with its AIM identifier, such as ]C1."""
    for text in texts:
        click.echo(_json(barcode_codes.as_json(barcode_codes.read(text, fnc1=fnc1))))


@decode.command("llrp")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
def decode_llrp(files: tuple[Path, ...]) -> None:
    """One JSON line for each LLRP message in the binary files."""
    from gateway.devices.rfid.describe import describe

    for file in files:
        for message in describe(file.read_bytes()):
            click.echo(_json({"file": str(file), **message}))


@main.command()
@click.argument("device")
@click.argument("out", type=click.Path(path_type=Path))
@_CONFIG
def capture(device: str, out: Path, config_file: Path) -> None:
    """Record every byte of DEVICE in the file OUT until it is told to stop. Stop the gateway first."""
    from gateway.devices.capture import capture as record
    from gateway.devices.registry import open_driver

    found = {reader.name: reader for reader in load_config(config_file).reader}
    if device not in found:
        raise GatewayError(f'{config_file}: there is no device "{device}"; known: {", ".join(found) or "none"}')
    _until_stopped(lambda: record(open_driver(found[device], SystemRuntime()), found[device], out))


@main.command()
@click.argument("captures", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CAPTURE...")
@_CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON line per record.")
def replay(captures: tuple[Path, ...], config_file: Path, as_json: bool) -> None:
    """Show what recorded device bytes amount to: the same rule, posting and ledger as in the daemon."""
    from gateway.app import kept_catalogue, ledger_path
    from gateway.replay import movements_of
    from vocabulary.movement import Movement
    from vocabulary.records import encode

    config = load_config(config_file)
    for record in movements_of(captures, config, kept_catalogue(ledger_path(config))):
        if as_json:
            click.echo(encode(record).decode())
        elif isinstance(record, Movement):
            goods = ", ".join(f"{line.quantity} x {line.item}" for line in record.lines)
            click.echo(f"{record.kind}: {record.from_.place} -> {record.to.place}: {len(record.units)} units {goods}")


@main.command("verify-ledger")
@click.argument("db", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--rebuild", is_flag=True, help="First make balances and units again; stop the gateway before.")
def verify(db: Path, as_json: bool, rebuild: bool) -> None:
    """Check the ledger DB: rows, chain, canonical bytes, balances. Exit code 1 when something is wrong."""
    from gateway.ledger.check import rebuild_ledger, verify_ledger

    if rebuild:
        rebuild_ledger(db)
    report = verify_ledger(db, lambda rows: click.echo(f"\r{rows} rows", nl=False, err=True))
    if as_json:
        click.echo(_json(report))
    else:
        click.echo(f"{db}: {report.rows} rows, {'everything fits' if report.ok else 'DAMAGED'}")
        for fault in report.faults:
            click.echo(f"  {fault}")
        for warning in report.warnings:
            click.echo(f"  not checked: {warning}")
    sys.exit(0 if report.ok else 1)


@main.command("rollback-ledger")
@_CONFIG
def rollback_ledger(config_file: Path) -> None:
    """Put back the ledger as it was before its last upgrade, for the program before; only where no row is lost by it."""
    from gateway.app import ledger_path
    from gateway.ledger.migrate import restore_previous

    click.echo(restore_previous(ledger_path(load_config(config_file))))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _log_to_stderr() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(work())


def _until_stopped(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run until SIGTERM or Ctrl-C, then let it end in order."""

    async def supervised() -> None:
        task = asyncio.ensure_future(work())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            if not task.cancelled():
                raise

    _run(supervised)


if __name__ == "__main__":
    main()
