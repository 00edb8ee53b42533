"""A scripted LLRP client for tests of the emulated reader."""

from __future__ import annotations

import asyncio
from typing import Any

from virtual import VirtualRuntime

from gateway.simulation.llrp.codec import HEADER, Element, Message, decode_message, encode_message, make
from gateway.simulation.profile import ReaderProfile
from gateway.simulation.reader import EmulatedReader
from gateway.simulation.recorder import Recorder
from gateway.simulation.scenario import PlacedTag, Scene
from gateway.simulation.warehouse import PortalAntennaConfig, portal_antenna

EPCS = [f"30{number:022X}" for number in range(1, 13)]
PORTAL = [
    portal_antenna(PortalAntennaConfig(1, "1", "inside"), 0.0),
    portal_antenna(PortalAntennaConfig(2, "1", "outside"), 0.0),
]


class Client(asyncio.Protocol):
    """Collects the messages that arrive; `ask` sends one and waits for the answer with its id."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.messages: list[Message] = []
        self.arrived = asyncio.Event()
        self.closed = False
        self.transport: Any = None
        self.next_id = 100

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True

    def data_received(self, data: bytes) -> None:
        self.data += data
        while len(self.data) >= HEADER.size:
            length = HEADER.unpack_from(self.data)[1]
            if len(self.data) < length:
                return
            frame = bytes(self.data[:length])
            del self.data[:length]
            self.messages.append(decode_message(frame))
        self.arrived.set()

    def send(self, body: Element, version: int = 1) -> int:
        self.next_id += 1
        self.transport.write(encode_message(body, self.next_id, version))
        return self.next_id

    async def ask(self, body: Element, version: int = 1) -> Message:
        number = self.send(body, version)
        async with asyncio.timeout(5):
            while True:
                for message in self.messages:
                    if message.id == number and message.body.name not in ("KEEPALIVE", "RO_ACCESS_REPORT"):
                        return message
                self.arrived.clear()
                await self.arrived.wait()

    async def ok(self, body: Element) -> Element:
        answer = (await self.ask(body)).body
        assert status(answer) == 0, answer
        return answer

    def named(self, name: str) -> list[Element]:
        return [message.body for message in self.messages if message.body.name == name]

    def tags(self) -> list[Element]:
        return [tag for report in self.named("RO_ACCESS_REPORT") for tag in report.all("TagReportData")]

    def events(self, name: str) -> list[Element]:
        data = [body.children[0] for body in self.named("READER_EVENT_NOTIFICATION")]
        return [found for item in data if (found := item.find(name))]


def status(body: Element) -> int:
    found = body.find("LLRPStatus")
    assert found is not None
    return found.integer("StatusCode")


def rospec(
    number: int = 1,
    *,
    trigger: int = 1,
    n: int = 1,
    start: Element | None = None,
    stop: Element | None = None,
    ai_stop: Element | None = None,
    antennas: tuple[int, ...] = (0,),
    priority: int = 0,
) -> Element:
    selector = make(
        "TagReportContentSelector",
        make("C1G2EPCMemorySelector", EnableCRC=1, EnablePCBits=1),
        EnableROSpecID=1,
        EnableAntennaID=1,
        EnableChannelIndex=1,
        EnablePeakRSSI=1,
        EnableFirstSeenTimestamp=1,
        EnableLastSeenTimestamp=1,
        EnableTagSeenCount=1,
    )
    return make(
        "ROSpec",
        make(
            "ROBoundarySpec",
            start or make("ROSpecStartTrigger", ROSpecStartTriggerType=0),
            stop or make("ROSpecStopTrigger", ROSpecStopTriggerType=0),
        ),
        make(
            "AISpec",
            ai_stop or make("AISpecStopTrigger", AISpecStopTriggerType=0),
            make("InventoryParameterSpec", InventoryParameterSpecID=7, ProtocolID=1),
            AntennaIDs=antennas,
        ),
        make("ROReportSpec", selector, ROReportTrigger=trigger, N=n),
        ROSpecID=number,
        Priority=priority,
    )


def staged_scene(runtime: VirtualRuntime) -> Scene:
    """Twelve cases that stand in the doorway, in reach of both antennas."""
    places = [PlacedTag(epc, (0.2, -0.5 + 0.09 * number, 1.2), 0.0) for number, epc in enumerate(EPCS)]
    return Scene({"1": 0.0}, runtime.random("scene"), places)


async def reader_and_client(
    runtime: VirtualRuntime, scene: Scene | None = None, recorder: Recorder | None = None, **profile: Any
) -> tuple[EmulatedReader, Client]:
    settings = ReaderProfile(**{"antennas": 2, **profile})
    reader = EmulatedReader(runtime, "dock", settings, PORTAL, scene or staged_scene(runtime), recorder=recorder)
    await reader.start()
    return reader, await connect(runtime, reader)


async def connect(runtime: VirtualRuntime, reader: EmulatedReader) -> Client:
    _, client = await runtime.connect(Client, "127.0.0.1", reader.port)
    await asyncio.sleep(0.01)
    assert isinstance(client, Client)
    return client


async def run_inventory(client: Client, spec: Element) -> None:
    number = spec.integer("ROSpecID")
    await client.ok(make("ADD_ROSPEC", spec))
    await client.ok(make("ENABLE_ROSPEC", ROSpecID=number))
    await client.ok(make("START_ROSPEC", ROSpecID=number))
