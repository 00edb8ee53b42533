"""The air interface of one reader: rounds over its antennas that turn a scene into tag reads.

A round opens on one antenna, costs a fixed overhead and one slot per tag tried; then comes the next antenna. So the
reads per second are shared by all tags and antennas, as in Gen2's slotted inventory (EPC Gen2 section 6.3.2.10).
Targets alternate (dual target), so a tag answers every round whatever the session.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final, NamedTuple

from gateway.simulation.llrp.codec import Element
from gateway.simulation.profile import REGIONS, ReaderProfile
from gateway.simulation.radio import Antenna, Radio
from gateway.simulation.scenario import PlacedTag, Scene
from gateway.simulation.tagreport import TagRead

#: A tag that does not answer costs its slot partly: the reader gives up on it after the preamble.
_SILENT_SLOT: Final = 0.4


class _Candidate(NamedTuple):
    epc: str
    link_db: float
    distance: float


class Inventory:
    """Reads tags of a scene with given antennas. Times are microseconds UTC of the scene."""

    def __init__(
        self, profile: ReaderProfile, antennas: Sequence[Antenna], scene: Scene, radio: Radio, random: Random
    ) -> None:
        self._profile, self._scene, self._radio, self._random = profile, scene, radio, random
        self._antennas = {antenna.port: antenna for antenna in antennas}
        self._turn = 0
        self._cursor = 0
        self._strays: dict[int, list[_Candidate]] = {}

    def run(self, ports: Sequence[int], powers: Mapping[int, int], start: int, end: int) -> list[TagRead]:
        """All reads between `start` and `end` on `ports` in turn; `powers` in centi-dBm by port.

        A port without an antenna in the scene, or without power, costs its round and reads nothing.
        """
        reads: list[TagRead] = []
        at = float(max(start, self._cursor if self._cursor < end else start))
        if not ports:
            return reads
        slot = 1_000_000 / self._profile.reads_per_s
        placed = self._scene.tags_at((start + end) // 2)
        heard: dict[int, list[_Candidate]] = {}
        while at < end:
            port = ports[self._turn % len(ports)]
            self._turn += 1
            at += self._profile.round_overhead_s * 1_000_000
            antenna, power = self._antennas.get(port), powers.get(port, 0) / 100
            if antenna is None or not power:
                continue
            if port not in heard:
                heard[port] = self._candidates(antenna, power, placed)
            order = heard[port][:]
            self._random.shuffle(order)
            for candidate in order:
                if at >= end:
                    break
                channel = self._channel(int(at))
                frequency = self._profile.channels[channel - 1]
                answer = self._radio.attempt(candidate.link_db, power, candidate.distance, frequency)
                at += slot if answer else slot * _SILENT_SLOT
                if answer:
                    reads.append(TagRead(candidate.epc, port, channel, answer.strength, answer.phase, int(at)))
        self._cursor = int(at)
        return reads

    def _candidates(self, antenna: Antenna, power_dbm: float, placed: Sequence[PlacedTag]) -> list[_Candidate]:
        strays = self._strays.get(antenna.port)
        if strays is None:
            strays = self._strays[antenna.port] = [self._candidate(antenna, tag) for tag in self._scene.strays]
        every = strays + [self._candidate(antenna, tag) for tag in placed]
        return [candidate for candidate in every if self._radio.reachable(candidate.link_db, power_dbm)]

    def _candidate(self, antenna: Antenna, tag: PlacedTag) -> _Candidate:
        link = self._radio.link_db(antenna, tag.epc, tag.position, tag.attenuation_db)
        return _Candidate(tag.epc, link, math.dist(antenna.position, tag.position))

    def _channel(self, at: int) -> int:
        """The ChannelIndex in use: readers hop on their own clock, all channels in the order of the table."""
        return at // REGIONS[self._profile.region].dwell_us % len(self._profile.channels) + 1


def ports_of(spec: Element, profile: ReaderProfile) -> tuple[int, ...]:
    """The antennas of an AISpec; 0 stands for all of them (LLRP 1.0.1 section 11.2.3)."""
    numbers = spec.numbers("AntennaIDs")
    return tuple(range(1, profile.antennas + 1)) if 0 in numbers or not numbers else numbers


def power_indexes(spec: Element, ports: Sequence[int]) -> dict[int, int]:
    """TransmitPower index by port as an AISpec sets it; ports it does not mention are absent."""
    found: dict[int, int] = {}
    for inventory in spec.all("InventoryParameterSpec"):
        for setting in inventory.all("AntennaConfiguration"):
            transmitter = setting.find("RFTransmitter")
            if transmitter is None:
                continue
            antenna = setting.integer("AntennaID")
            for port in ports if antenna == 0 else (antenna,):
                found[port] = transmitter.integer("TransmitPower")
    return found
