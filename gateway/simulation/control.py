"""A line of JSON in, a line of JSON out: how trading partners and people send pallets to emulated doors.

    {"send": {"door": "1", "direction": "in", "sscc": "31...", "cases": ["30...", ...], "delay_s": 5}}
        -> {"ok": true, "crossing_at": 1767592811923077}
    {"crossings": {}}   -> {"ok": true, "crossings": [{"door", "direction", "at", "epcs"}, ...]}
    {"gpi": {"reader": "dock", "port": 1, "high": true}}   -> {"ok": true}
    {"readers": {}}     -> {"ok": true, "readers": [{"name", "host", "port", "connected"}, ...]}
    anything else       -> {"ok": false, "error": "one sentence"}

For the loopback address only: it has no passwords.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Final, cast

import msgspec

from gateway.simulation.epc_encode import is_epc
from gateway.simulation.scenario import DEFAULT_SPEED, Crossing, Direction
from gateway.simulation.warehouse import Warehouse
from runtime import Runtime
from runtime.system import Listener

#: Longest request line in bytes: 1,000 cases of 24 hex digits fit.
MAX_LINE: Final = 64 * 1024
#: A pallet can be announced at most this long ahead, seconds: one week.
MAX_DELAY_S: Final = 604_800
#: Clients at once; more are turned away.
MAX_CLIENTS: Final = 16


class Send(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pallet for a door. EPCs are hex."""

    door: str
    direction: Direction
    cases: tuple[str, ...] = ()
    sscc: str | None = None
    delay_s: float = 0.0
    speed: float = DEFAULT_SPEED
    material: str = "none"


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state of a reader's input."""

    reader: str
    port: int
    high: bool


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question without arguments."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request: exactly one of its fields."""

    send: Send | None = None
    crossings: Nothing | None = None
    gpi: Input | None = None
    readers: Nothing | None = None


class ReaderReply(msgspec.Struct, frozen=True):
    """Where a reader listens."""

    name: str
    host: str
    port: int
    connected: bool


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answer."""

    ok: bool
    error: str | None = None
    crossing_at: int | None = None
    crossings: tuple[Crossing, ...] | None = None
    readers: tuple[ReaderReply, ...] | None = None


class Control:
    """Listens on a loopback address for a warehouse. Raises ValueError for any other address."""

    def __init__(self, runtime: Runtime, warehouse: Warehouse, host: str = "127.0.0.1", port: int = 0) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"the control port has no passwords and listens on loopback only, not on {host}")
        self.host, self.port = host, port
        self._runtime, self._warehouse = runtime, warehouse
        self._listener: Listener | None = None
        self._clients: list[_Line] = []

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        self._listener = await self._runtime.listen(lambda: _Line(self._clients, self.answer), self.host, self.port)
        self.port = self._listener.port

    async def stop(self) -> None:
        """Stop listening and drop the clients."""
        for client in list(self._clients):
            client.drop()
        if self._listener is not None:
            await self._listener.close()
            self._listener = None

    def answer(self, line: bytes) -> bytes:
        """The reply to one request line; every fault is a sentence in it."""
        try:
            reply = self._perform(msgspec.json.decode(line, type=Command))
        except (msgspec.DecodeError, ValueError) as error:
            reply = Reply(False, f"{error}")
        return msgspec.json.encode(reply) + b"\n"

    def _perform(self, command: Command) -> Reply:
        readers = self._warehouse.readers
        if command.send is not None:
            send = command.send
            wrong = next((epc for epc in (*send.cases, *((send.sscc,) if send.sscc else ())) if not is_epc(epc)), None)
            if wrong is not None:
                raise ValueError(f"{wrong!r} is not an EPC in hex: whole 16-bit words, at most 31")
            if not 0 <= send.delay_s <= MAX_DELAY_S:
                raise ValueError(f"delay_s {send.delay_s} is not between 0 and {MAX_DELAY_S}")
            crossing = self._warehouse.send(
                send.door, send.direction, send.cases, send.sscc, send.delay_s, send.speed, send.material
            )
            return Reply(True, crossing_at=crossing.at)
        if command.gpi is not None:
            if command.gpi.reader not in readers:
                raise ValueError(f"there is no reader {command.gpi.reader!r}; the readers are {', '.join(readers)}")
            readers[command.gpi.reader].set_gpi(command.gpi.port, command.gpi.high)
            return Reply(True)
        if command.readers is not None:
            rows = (ReaderReply(item.name, item.host, item.port, item.client is not None) for item in readers.values())
            return Reply(True, readers=tuple(rows))
        if command.crossings is not None:
            return Reply(True, crossings=self._warehouse.scene.truth)
        raise ValueError("a request holds one of send, crossings, gpi, readers")


class _Line(asyncio.Protocol):
    """One client of the control port."""

    def __init__(self, clients: list[_Line], answer: Callable[[bytes], bytes]) -> None:
        self._clients, self._answer = clients, answer
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._clients) >= MAX_CLIENTS:
            self._transport.write(msgspec.json.encode(Reply(False, f"{MAX_CLIENTS} clients are connected")) + b"\n")
            self._transport.close()
        self._clients.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.remove(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._data += data
        while self._transport is not None and not self._transport.is_closing():
            line, found, rest = self._data.partition(b"\n")
            if len(line) > MAX_LINE:
                self._transport.write(msgspec.json.encode(Reply(False, f"a line exceeds {MAX_LINE} bytes")) + b"\n")
                self._transport.close()
                return
            if not found:
                return
            self._data = rest
            self._transport.write(self._answer(bytes(line)))

    def drop(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()
