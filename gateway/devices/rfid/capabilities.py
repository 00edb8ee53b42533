"""What a reader says that it can do."""

from __future__ import annotations

import msgspec

from gateway.devices.rfid.standard import IMPINJ, VENDORS


class RfMode(msgspec.Struct, frozen=True):
    """One row of the reader's UHF C1G2 mode table; `miller` 0 FM0, 1 M2, 2 M4, 3 M8; rates in bit/s, Tari in ns."""

    identifier: int
    miller: int
    backscatter_rate: int
    min_tari: int


class Capabilities(msgspec.Struct, frozen=True):
    """GET_READER_CAPABILITIES_RESPONSE, as far as a ROSpec depends on it.

    `powers` maps the transmit power in centi-dBm to its index; `channels` are the fixed frequencies in kHz in the order
    of their index from 1; `hop_tables` the ids of the hop tables, none where the region does not hop.
    """

    manufacturer: int
    model: int
    firmware: str
    antennas: int
    gpos: int
    can_hold_reports: bool
    powers: dict[int, int]
    hopping: bool
    hop_tables: tuple[int, ...]
    channels: tuple[int, ...]
    modes: tuple[RfMode, ...]

    @property
    def is_impinj(self) -> bool:
        """The reader understands Impinj's extensions."""
        return self.manufacturer == IMPINJ

    @property
    def product(self) -> str:
        """Maker, model and firmware for a person."""
        maker = VENDORS.get(self.manufacturer, f"maker {self.manufacturer}")
        return f"{maker} {self.model} ({self.firmware})" if self.firmware else f"{maker} {self.model}"
