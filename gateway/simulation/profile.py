"""What an emulated reader model can do, and how it says so in LLRP."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from gateway.simulation import impinj
from gateway.simulation.llrp.codec import Element, make


class Region(msgspec.Struct, frozen=True):
    """Channels and power that a region allows. Frequencies in kHz, dwell in microseconds."""

    country: int  # ISO 3166-1 numeric
    standard: int  # CommunicationsStandard of LLRP 1.0.1 section 9.2.4
    hopping: bool
    frequencies: tuple[int, ...]
    dwell_us: int


#: FCC part 15.247: 50 channels of 500 kHz, at most 0.4 s on each in 20 s; ETSI EN 302 208: 4 channels, 4 s at most on each.
REGIONS: Final = {
    "fcc": Region(840, 1, True, tuple(902_750 + 500 * number for number in range(50)), 200_000),
    "etsi": Region(276, 2, False, (865_700, 866_300, 866_900, 867_500), 3_800_000),
}

#: The order in which a hopping reader visits its channels: 23 has no factor in common with 50, so all are visited.
_HOP_STEP: Final = 23


class ReaderProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reader model. Power in centi-dBm."""

    antennas: int = 4
    #: `impinj` adds that vendor's phase and its strength in hundredths of a dB.
    vendor: Literal["generic", "impinj"] = "generic"
    region: Literal["fcc", "etsi"] = "etsi"
    #: Highest LLRP version the reader speaks: 1 = 1.0.1, 2 = 1.1.
    llrp_version: Literal[1, 2] = 2
    #: False: a reader without a calendar clock, which reports microseconds since its start instead.
    utc_clock: bool = True
    #: True: fields equal to those of the tag report before are left out, as the standard allows.
    omit_unchanged: bool = False
    #: Tags per second that the air protocol yields over all antennas; 200 is nominal for dense-reader mode.
    reads_per_s: float = 200.0
    #: Seconds one inventory round costs beside its tags.
    round_overhead_s: float = 0.012
    #: Tag reports kept while no client takes them; then the oldest are lost.
    report_buffer: int = 66_000
    min_power: int = 1_000
    max_power: int = 3_000
    power_step: int = 25
    gpis: int = 4
    gpos: int = 4
    max_rospecs: int = 8
    max_accessspecs: int = 16

    @property
    def channels(self) -> tuple[int, ...]:
        """Frequencies in kHz in the order of the hop or channel table; ChannelIndex counts from 1."""
        frequencies = REGIONS[self.region].frequencies
        if not REGIONS[self.region].hopping:
            return frequencies
        return tuple(frequencies[number * _HOP_STEP % len(frequencies)] for number in range(len(frequencies)))

    @property
    def power_levels(self) -> int:
        """Entries of the transmit power table; indexes count from 1."""
        return (self.max_power - self.min_power) // self.power_step + 1

    def power(self, index: int) -> int:
        """Power of a table entry in centi-dBm; index 0, which no table holds, means full power."""
        return self.min_power + (index - 1) * self.power_step if index else self.max_power


#: A vendor number that no vendor has: IANA private enterprise number 0 is reserved.
NO_VENDOR: Final = 0
#: UHF modes offered: (identifier, miller value, backscatter rate in bit/s). 1000 is the automatic mode.
MODES: Final = ((0, 0, 640_000), (1, 1, 640_000), (2, 2, 274_000), (3, 3, 170_600), (1000, 2, 274_000))


def general_capabilities(profile: ReaderProfile) -> Element:
    """GeneralDeviceCapabilities (LLRP 1.0.1 section 9.2.2)."""
    return make(
        "GeneralDeviceCapabilities",
        make("ReceiveSensitivityTableEntry", Index=1, ReceiveSensitivityValue=0),
        make("GPIOCapabilities", NumGPIs=profile.gpis, NumGPOs=profile.gpos),
        *(make("PerAntennaAirProtocol", AntennaID=port, ProtocolID=(1,)) for port in range(1, profile.antennas + 1)),
        MaxNumberOfAntennaSupported=profile.antennas,
        CanSetAntennaProperties=0,
        HasUTCClockCapability=int(profile.utc_clock),
        DeviceManufacturerName=impinj.VENDOR if profile.vendor == "impinj" else NO_VENDOR,
        ModelName=impinj.R420 if profile.vendor == "impinj" else 1,
        ReaderFirmwareVersion="emulated 1.0",
    )


def llrp_capabilities(profile: ReaderProfile) -> Element:
    """LLRPCapabilities (section 9.2.3)."""
    return make(
        "LLRPCapabilities",
        CanReportBufferFillWarning=1,
        SupportsEventAndReportHolding=1,
        MaxNumPriorityLevelsSupported=2,
        MaxNumROSpecs=profile.max_rospecs,
        MaxNumSpecsPerROSpec=8,
        MaxNumInventoryParameterSpecsPerAISpec=1,
        MaxNumAccessSpecs=profile.max_accessspecs,
        MaxNumOpSpecsPerAccessSpec=4,
    )


def regulatory_capabilities(profile: ReaderProfile) -> Element:
    """RegulatoryCapabilities with power, channel and mode tables (section 9.2.4)."""
    region = REGIONS[profile.region]
    table = (
        make("FrequencyHopTable", HopTableID=1, Frequency=profile.channels)
        if region.hopping
        else make("FixedFrequencyTable", Frequency=profile.channels)
    )
    modes = tuple(
        make(
            "C1G2UHFRFModeTableEntry",
            ModeIdentifier=identifier,
            DRValue=1,
            MValue=miller,
            ForwardLinkModulation=2,
            SpectralMaskIndicator=2,
            BDRValue=rate,
            PIEValue=1500,
            MinTariValue=6250,
            MaxTariValue=25000,
            StepTariValue=0,
        )
        for identifier, miller, rate in MODES
    )
    levels = tuple(
        make("TransmitPowerLevelTableEntry", Index=index, TransmitPowerValue=profile.power(index))
        for index in range(1, profile.power_levels + 1)
    )
    band = make(
        "UHFBandCapabilities",
        *levels,
        make("FrequencyInformation", table, Hopping=int(region.hopping)),
        make("C1G2UHFRFModeTable", *modes),
    )
    return make("RegulatoryCapabilities", band, CountryCode=region.country, CommunicationsStandard=region.standard)


def air_protocol_capabilities() -> Element:
    """C1G2LLRPCapabilities (section 16.2.1)."""
    return make("C1G2LLRPCapabilities")
