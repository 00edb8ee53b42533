"""From what a reader is for and what it can do to the ROSpec that it runs."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.devices.rfid.capabilities import Capabilities, RfMode
from gateway.devices.rfid.config import AntennaConfig, Intent, ReaderConfig
from gateway.devices.rfid.errors import UnsatisfiableIntentError

#: C1G2 session: in S0 a tag forgets at once that it was read and answers in every round, so that its RSSI makes a curve.
S0 = 0
#: In S1 it forgets after 0.5 to 5 s whether powered or not: present tags are told again, the air stays free in between.
S1 = 1
#: In S2 it remembers as long as it is powered; of use only where the reader turns to the other side by itself.
S2 = 2
#: Impinj search mode 2, dual target: reads tags from A to B and back, none falls silent.
DUAL_TARGET = 2
#: Impinj search mode 1, single target: S1 tags come back by themselves.
SINGLE_TARGET = 1
#: Milliseconds between reports where LLRP 1.1 allows it: far inside the 2 s a decision may take.
REPORT_INTERVAL_MS = 100
#: Miller 4: robust against neighbouring doors (dense reader mode), and still fast enough for a pallet at walking pace.
MILLER_4 = 2


class Plan(msgspec.Struct, frozen=True):
    """How an intent is inventoried: `population` is the number of tags expected in the field at once."""

    session: int
    impinj_session: int
    search_mode: int
    population: int
    every_tag: bool


#: A door needs each read with its own RSSI and time; areas and shelves need to know who is there.
PLANS = {
    Intent.PORTAL: Plan(S0, S0, DUAL_TARGET, 32, every_tag=True),
    Intent.ZONE: Plan(S1, S1, SINGLE_TARGET, 64, every_tag=False),
    Intent.SHELF: Plan(S1, S2, DUAL_TARGET, 128, every_tag=False),
}

Tree = dict[str, object]


def build(config: ReaderConfig, offered: Capabilities, version: int, rospec_id: int) -> Tree:
    """The ROSpec for this reader as the tree that `messages.add_rospec` takes; `version` 2 is LLRP 1.1.

    Raises UnsatisfiableIntentError naming what the reader offers when the configuration asks for more.
    """
    plan = PLANS[config.intent]
    settings = [_antenna(config, antenna, offered, plan) for antenna in config.antennas]
    inventory = {"InventoryParameterSpecID": 1, "ProtocolID": 1, "AntennaConfiguration": settings}
    return {
        "ROSpecID": rospec_id,
        "Priority": 0,
        "CurrentState": "Disabled",
        "ROBoundarySpec": {
            "ROSpecStartTrigger": {"ROSpecStartTriggerType": "Null"},
            "ROSpecStopTrigger": {"ROSpecStopTriggerType": "Null", "DurationTriggerValue": 0},
        },
        "AISpec": [
            {
                "AntennaID": [antenna.port for antenna in config.antennas],
                # Not "N tags": it would restart the round of antennas all the time, and some readers refuse it.
                "AISpecStopTrigger": {"AISpecStopTriggerType": "Null", "DurationTriggerValue": 0},
                "InventoryParameterSpec": [inventory],
            }
        ],
        "ROReportSpec": _report(plan, offered, version),
    }


def _report(plan: Plan, offered: Capabilities, version: int) -> Tree:
    timed = not plan.every_tag and version >= 2
    report: Tree = {
        "ROReportTrigger": "Upon_N_Milliseconds_Or_End_Of_ROSpec" if timed else "Upon_N_Tags_Or_End_Of_AISpec",
        "N": REPORT_INTERVAL_MS if timed else 1,
        "TagReportContentSelector": {
            "EnableROSpecID": True,
            "EnableAntennaID": True,
            "EnableChannelIndex": True,
            "EnablePeakRSSI": True,
            "EnableFirstSeenTimestamp": True,
            "EnableLastSeenTimestamp": True,
            "EnableTagSeenCount": True,
        },
    }
    if offered.is_impinj:
        report["ImpinjTagReportContentSelector"] = {
            "ImpinjEnableRFPhaseAngle": {"RFPhaseAngleMode": 1},
            "ImpinjEnablePeakRSSI": {"PeakRSSIMode": 1},
        }
    return report


def _antenna(config: ReaderConfig, antenna: AntennaConfig, offered: Capabilities, plan: Plan) -> Tree:
    if antenna.port > offered.antennas:
        raise UnsatisfiableIntentError(
            f"{config.name}: antenna port {antenna.port} does not exist, the reader has {offered.antennas}; "
            "correct the port"
        )
    session = plan.impinj_session if offered.is_impinj else plan.session
    command: Tree = {
        "TagInventoryStateAware": False,
        "C1G2SingulationControl": {"Session": session, "TagPopulation": plan.population, "TagTransitTime": 0},
    }
    mode = choose_mode(offered.modes)
    if mode is not None:
        # Named by its identifier: readers take that, although the standard speaks of an index.
        command["C1G2RFControl"] = {"ModeIndex": mode.identifier, "Tari": mode.min_tari}
    channel, fixed_list = _channel(config, offered)
    if offered.is_impinj:
        command["ImpinjInventorySearchMode"] = {"InventorySearchMode": plan.search_mode}
        if fixed_list:
            command["ImpinjFixedFrequencyList"] = {"FixedFrequencyMode": 2, "ChannelList": fixed_list}
    return {
        "AntennaID": antenna.port,
        "RFTransmitter": {
            "HopTableId": offered.hop_tables[0] if offered.hopping and offered.hop_tables else 0,
            "ChannelIndex": channel,
            "TransmitPower": choose_power(config.name, antenna, offered.powers),
        },
        "C1G2InventoryCommand": [command],
    }


def choose_power(reader: str, antenna: AntennaConfig, powers: Mapping[int, int]) -> int:
    """Index of the highest power of the reader's table (centi-dBm -> index) that does not exceed the one asked for.

    Raises UnsatisfiableIntentError when the table is empty or does not reach down or up to it.
    """
    if not powers:
        raise UnsatisfiableIntentError(f"{reader}: the reader offers no transmit power; set its region first")
    lowest, highest = min(powers), max(powers)
    if antenna.power_dbm is None:
        return powers[highest]
    wanted = round(antenna.power_dbm * 100)
    if not lowest <= wanted <= highest:
        raise UnsatisfiableIntentError(
            f"{reader}: antenna {antenna.port} asks for {antenna.power_dbm} dBm, the reader offers "
            f"{lowest / 100} to {highest / 100} dBm in its region; correct power_dbm"
        )
    return powers[max(power for power in powers if power <= wanted)]


def choose_mode(modes: tuple[RfMode, ...]) -> RfMode | None:
    """The fastest Miller 4 mode, else the slowest of all; None where the reader offers none to choose from."""
    if not modes:
        return None
    robust = [mode for mode in modes if mode.miller == MILLER_4]
    if robust:
        return max(robust, key=lambda mode: (mode.backscatter_rate, -mode.identifier))
    return min(modes, key=lambda mode: (mode.backscatter_rate, mode.identifier))


def _channel(config: ReaderConfig, offered: Capabilities) -> tuple[int, list[int]]:
    """ChannelIndex, and the list of indexes where several were named (Impinj only)."""
    if not config.channels_mhz:
        return 1, []
    if offered.hopping:
        raise UnsatisfiableIntentError(
            f"{config.name}: the reader must hop in its region, channels cannot be chosen; remove channels_mhz"
        )
    indexes: list[int] = []
    for channel in config.channels_mhz:
        if round(channel * 1000) not in offered.channels:
            names = ", ".join(f"{kilohertz / 1000:g}" for kilohertz in offered.channels)
            raise UnsatisfiableIntentError(
                f"{config.name}: the reader offers no channel at {channel} MHz but {names or 'none'}; "
                "correct channels_mhz"
            )
        indexes.append(offered.channels.index(round(channel * 1000)) + 1)
    if len(indexes) > 1 and not offered.is_impinj:
        raise UnsatisfiableIntentError(f"{config.name}: the reader takes one channel only; name one in channels_mhz")
    return indexes[0], indexes
