"""UHF radio at a dock door: which tag answers which antenna, how strongly, on which channel and at which phase.

Pure given its `random.Random`. Backscatter link budget (Dobkin, "The RF in RFID", chapter 3):

    at the tag     P_tag = P_tx + G_antenna(angle) + G_tag - L(d) - attenuation - shadowing + fading
    at the reader  RSSI  = P_tag + G_antenna(angle) + G_tag - L(d) - attenuation - shadowing + fading - L_backscatter

A tag answers when P_tag reaches its sensitivity and RSSI the reader's; because fading is drawn for every attempt
(Rician), the read probability falls smoothly with distance. The default figures are those of common dense-reader
portals; change them in the scene file to plan a door.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import Final

import msgspec

#: Metres per second.
LIGHT_SPEED: Final = 299_792_458.0
#: Phase is reported in 1/4096 of a turn, as readers that report it do.
PHASE_STEPS: Final = 4096
#: One-way loss in dB that the content behind a label adds (field reports: liquid 5 to 10 dB, metal detunes 10 dB and more).
MATERIALS: Final[Mapping[str, float]] = {"none": 0.0, "liquid": 6.0, "metal": 10.0}
#: Tags times antennas whose shadowing one reader remembers: some hundred pallets.
SHADOW_CACHE: Final = 20_000

Point = tuple[float, float, float]


class RadioConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Physics of one site."""

    #: Path loss at 1 m in dB: free space at 866 to 915 MHz is 31.2 to 31.7.
    path_loss_1m_db: float = 31.5
    #: One-way path loss per decade of distance in dB: 20 is free space, 30 a cluttered dock.
    path_loss_db_per_decade: float = 30.0
    #: Spread of the constant loss of one tag towards one antenna, one way, in dB.
    shadowing_db: float = 2.0
    #: Rician K factor in dB, the direct path over all reflections: large is calm, below 0 is Rayleigh.
    rician_k_db: float = 9.0
    #: Weakest power at the tag's chip that wakes it, in dBm.
    tag_sensitivity_dbm: float = -18.0
    #: Weakest answer that the reader decodes, in dBm.
    reader_sensitivity_dbm: float = -80.0
    #: Gain of the tag's dipole in dBi.
    tag_gain_dbi: float = 2.0
    #: Loss of modulation and mismatch in the tag, in dB.
    backscatter_loss_db: float = 7.0
    #: Share of otherwise good answers that are lost (collisions with other readers, passing metal), 0 to 1.
    miss: float = 0.05


class Antenna(msgspec.Struct, frozen=True):
    """One antenna: where it hangs and what it looks at. Lengths in metres, angles in degrees."""

    port: int
    position: Point
    boresight: Point
    gain_dbi: float = 6.0
    beamwidth: float = 70.0
    front_to_back_db: float = 18.0


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A tag's successful answer: strength in centi-dBm, phase in 1/4096 of a turn."""

    strength: int
    phase: int


def antenna_gain(antenna: Antenna, towards: Point) -> float:
    """Gain in dBi towards a point: a parabolic main lobe and a flat back (3GPP TR 36.814 table A.2.1.1-2)."""
    offset = tuple(b - a for a, b in zip(antenna.position, towards, strict=True))
    length = math.hypot(*offset) * math.hypot(*antenna.boresight)
    cosine = sum(a * b for a, b in zip(offset, antenna.boresight, strict=True)) / length if length else 1.0
    angle = math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
    return antenna.gain_dbi - min(12.0 * (angle / antenna.beamwidth) ** 2, antenna.front_to_back_db)


class Radio:
    """The air of one site, seen by one reader. Draws from `random` alone; shadowing depends on `seed`, tag and antenna only."""

    def __init__(self, config: RadioConfig, seed: str, random: Random) -> None:
        self.config = config
        self._seed = seed
        self._random = random
        self._shadowing: dict[tuple[str, int], float] = {}
        k = 10 ** (config.rician_k_db / 10)
        self._direct = math.sqrt(k / (k + 1))
        self._scatter = math.sqrt(0.5 / (k + 1))

    def link_db(self, antenna: Antenna, epc: str, point: Point, attenuation_db: float) -> float:
        """Mean one-way gain of the link in dB (negative), fading left out."""
        distance = max(0.2, math.dist(antenna.position, point))  # nearer than 0.2 m the far-field formula ends
        loss = self.config.path_loss_1m_db + self.config.path_loss_db_per_decade * math.log10(distance)
        gain = antenna_gain(antenna, point) + self.config.tag_gain_dbi
        return gain - loss - attenuation_db - self._shadow(epc, antenna.port)

    def reachable(self, link_db: float, power_dbm: float) -> bool:
        """Whether the best of fading could wake the tag; tags beyond need no draw."""
        return power_dbm + link_db > self.config.tag_sensitivity_dbm - 6.0  # Rician fading adds at most about 5 dB

    def attempt(self, link_db: float, power_dbm: float, distance: float, frequency_khz: int) -> Answer | None:
        """One try to read a tag: its answer, or None when it stayed silent or was not heard."""
        random, config = self._random, self.config
        fading = 20 * math.log10(
            math.hypot(self._direct + random.gauss(0, self._scatter), random.gauss(0, self._scatter)) + 1e-6
        )
        at_tag = power_dbm + link_db + fading
        strength = at_tag + link_db + fading - config.backscatter_loss_db
        lost = random.random() < config.miss
        if lost or at_tag < config.tag_sensitivity_dbm or strength < config.reader_sensitivity_dbm:
            return None
        turns = 2 * distance * frequency_khz * 1_000 / LIGHT_SPEED + random.gauss(0, 0.01)
        return Answer(round(strength * 100), int(turns * PHASE_STEPS) % PHASE_STEPS)

    def _shadow(self, epc: str, port: int) -> float:
        key = (epc, port)
        found = self._shadowing.get(key)
        if found is None:
            if len(self._shadowing) >= SHADOW_CACHE:
                self._shadowing.clear()  # recomputed from the seed: the same values again
            found = Random(f"{self._seed}:{epc}:{port}").gauss(0, self.config.shadowing_db)
            self._shadowing[key] = found
        return found
