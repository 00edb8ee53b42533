"""A site's emulated hardware: readers at dock doors that look at one scene."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from gateway.simulation.epc_encode import check_digit, sgtin_96, sscc_96
from gateway.simulation.profile import ReaderProfile
from gateway.simulation.radio import MATERIALS, Antenna, RadioConfig
from gateway.simulation.reader import EmulatedReader
from gateway.simulation.recorder import Recorder
from gateway.simulation.scenario import DEFAULT_SPEED, Course, Crossing, Direction, Scene, pallet, strays_behind
from runtime import Runtime

#: Distance of a portal's antennas from the middle of the door along the wall, and from the door plane, in metres.
_BESIDE: Final = 1.3
_FROM_PLANE: Final = 1.0
#: Height of a portal's antennas, metres.
_HEIGHT: Final = 1.5
#: GS1 reserves the prefix 952 for demonstrations; tags made here never meet a real company's.
_DEMO_PREFIX: Final = "9520001"
#: Item references (indicator digit first) of the strays and of the cases of scripted pallets.
_STRAY_ITEM: Final = "190001"
_CASE_ITEM: Final = "100001"
#: A reader whose ticks lag may still look this far back, microseconds.
_LOOK_BACK_US: Final = 60_000_000
#: A door is this far from the next one unless the configuration says otherwise, metres.
DOOR_SPACING: Final = 3.5


class DoorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dock door."""

    name: str
    #: Where along the wall, in metres; left out, doors stand 3.5 m apart in the order of the file.
    x: float | None = None


class PortalAntennaConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One antenna of a portal."""

    port: int
    door: str
    #: `inside` hangs 1 m inside the door plane, `outside` 1 m outside.
    side: Literal["inside", "outside"]
    #: Which jamb it hangs on; it looks across at the other.
    jamb: Literal["left", "right"] = "left"


class ReaderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"antennas": "antenna"}):
    """One emulated reader; in a file its antennas are [[reader.antenna]]."""

    name: str
    antennas: tuple[PortalAntennaConfig, ...]
    host: str = "127.0.0.1"
    #: 0 takes a free port.
    port: int = 0
    profile: ReaderProfile = ReaderProfile()
    #: How far the reader's clock is ahead of the site's, in seconds.
    clock_skew_s: float = 0.0


class MovementConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pallets that come by themselves, to watch a door work or to plan one."""

    course: Course
    door: str
    #: Seconds after the start; then again every `every_s` seconds, 0 = once.
    start_s: float = 5.0
    every_s: float = 0.0
    cases: int = 12
    speed: float = DEFAULT_SPEED
    wait_s: float = 20.0
    material: Literal["none", "liquid", "metal"] = "none"


class WarehouseConfig(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"doors": "door", "readers": "reader", "movements": "movement"},
):
    """A site's emulated hardware; in a file its tables are [[door]], [[reader]] and [[movement]]."""

    doors: tuple[DoorConfig, ...]
    readers: tuple[ReaderConfig, ...]
    movements: tuple[MovementConfig, ...] = ()
    #: Tags on goods that stand near the doors and must never be posted.
    strays: int = 0
    radio: RadioConfig = RadioConfig()
    #: Port on the loopback address where pallets can be sent by hand (`control.py`); 0 takes a free one.
    control_port: int = 0


def portal_antenna(config: PortalAntennaConfig, door_x: float) -> Antenna:
    """Where a portal's antenna hangs: beside the door, looking across it."""
    side = 1 if config.side == "inside" else -1
    jamb = -1 if config.jamb == "left" else 1
    return Antenna(config.port, (door_x + jamb * _BESIDE, side * _FROM_PLANE, _HEIGHT), (-float(jamb), 0.0, 0.0))


def emulate(
    readers: Sequence[tuple[str, str, int]], doors: Sequence[tuple[str, Sequence[str], Sequence[str]]], strays: int = 0
) -> WarehouseConfig:
    """The hardware that a gateway's configuration asks for.

    `readers` are name, host and port; `doors` are name, inside and outside read points, each `reader/antenna`. Several
    read points of one side hang on the left and the right jamb in turn. A reader whose host is not on loopback listens
    on 127.0.0.1 at a free port. Read points of no door get no antenna. Raises ValueError for one that cannot be read.
    """
    antennas: dict[str, list[PortalAntennaConfig]] = {name: [] for name, _, _ in readers}
    for door, inside, outside in doors:
        sides: tuple[tuple[Literal["inside", "outside"], Sequence[str]], ...] = (
            ("inside", inside),
            ("outside", outside),
        )
        for side, points in sides:
            for number, point in enumerate(points):
                reader, _, port = point.rpartition("/")
                if reader not in antennas or not port.isdecimal():
                    raise ValueError(f"door {door}: {point!r} is not the reader/antenna of a reader that is configured")
                jamb = "right" if number % 2 else "left"
                antennas[reader].append(PortalAntennaConfig(int(port), door, side, jamb))
    made: list[ReaderConfig] = []
    for name, host, port in readers:
        ports = max((antenna.port for antenna in antennas[name]), default=0)
        profile = ReaderProfile(antennas=max(4, ports))
        local = host if host.startswith("127.") else "127.0.0.1"
        listen = port if local == host or host == "localhost" else 0
        made.append(ReaderConfig(name, tuple(antennas[name]), local, listen, profile))
    return WarehouseConfig(tuple(DoorConfig(name) for name, _, _ in doors), tuple(made), strays=strays)


class Warehouse:
    """Readers and scene of one site. Raises ValueError for an antenna at a door that does not exist."""

    def __init__(self, runtime: Runtime, config: WarehouseConfig, recorder: Recorder | None = None) -> None:
        doors = {
            door.name: door.x if door.x is not None else number * DOOR_SPACING
            for number, door in enumerate(config.doors)
        }
        random = runtime.random("scene")
        stray_epcs = [_case(_STRAY_ITEM, number + 1) for number in range(config.strays)]
        self.scene = Scene(doors, random, strays_behind(doors, config.strays, random, stray_epcs))
        self.readers: dict[str, EmulatedReader] = {}
        self._runtime, self._config = runtime, config
        self._serials = 0
        self._tasks: list[asyncio.Task[None]] = []
        for reader in config.readers:
            for antenna in reader.antennas:
                if antenna.door not in doors:
                    known = ", ".join(doors)
                    raise ValueError(
                        f"reader {reader.name}, antenna {antenna.port}: there is no door {antenna.door!r} ({known})"
                    )
            self.readers[reader.name] = EmulatedReader(
                runtime,
                reader.name,
                reader.profile,
                [portal_antenna(antenna, doors[antenna.door]) for antenna in reader.antennas],
                self.scene,
                host=reader.host,
                port=reader.port,
                radio=config.radio,
                clock_skew_us=round(reader.clock_skew_s * 1_000_000),
                recorder=recorder,
            )

    async def start(self) -> None:
        """Start all readers and the scripted movements. Raises OSError when an address is taken."""
        for reader in self.readers.values():
            await reader.start()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._script(movement)) for movement in self._config.movements]

    async def stop(self) -> None:
        """Stop everything."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for reader in self.readers.values():
            await reader.stop()

    def send(
        self,
        door: str,
        direction: Direction,
        epcs: Sequence[str],
        sscc: str | None = None,
        delay_s: float = 0.0,
        speed: float = DEFAULT_SPEED,
        material: str = "none",
    ) -> Crossing:
        """Send one pallet (hex EPCs of its cases and of its SSCC) through a door; returns the crossing to be.

        Raises ValueError for an unknown door or material, a bad speed, or a scene that is full.
        """
        if material not in MATERIALS:
            raise ValueError(f"there is no material {material!r}; the materials are {', '.join(MATERIALS)}")
        now = self._runtime.now()
        self.scene.forget(now - _LOOK_BACK_US)
        at = now + round(delay_s * 1_000_000)
        return self.scene.send(pallet(epcs, sscc, material), door, direction, at, speed)

    async def _script(self, movement: MovementConfig) -> None:
        await asyncio.sleep(movement.start_s)
        while True:
            cases = [_case(_CASE_ITEM, self._serials * 1_000 + number) for number in range(movement.cases)]
            self._serials += 1
            digits = f"0{_DEMO_PREFIX}{self._serials:09d}"
            load = pallet(cases, sscc_96(digits + check_digit(digits), len(_DEMO_PREFIX)), movement.material)
            at = self._runtime.now()
            self.scene.forget(at - _LOOK_BACK_US)
            self.scene.move(load, movement.door, movement.course, at, movement.speed, movement.wait_s)
            if not movement.every_s:
                return
            await asyncio.sleep(movement.every_s)


def _case(item: str, serial: int) -> str:
    digits = item[0] + _DEMO_PREFIX + item[1:]
    return sgtin_96(digits + check_digit(digits), serial, len(_DEMO_PREFIX))
