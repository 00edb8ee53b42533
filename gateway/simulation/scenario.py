"""A warehouse wall with dock doors, pallets that move through it, and the truth about what crossed.

Coordinates in metres: x along the wall, y across it (positive = inside, the door plane is y = 0), z up.
Positions are a pure function of time (microseconds UTC), so every reader that looks at one scene sees one world.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import pairwise
from random import Random
from typing import Final, NamedTuple

import msgspec

from gateway.simulation.radio import MATERIALS, Point

#: Distance from the door plane, in metres, where a moving pallet enters and leaves the scene: beyond any read range.
FAR: Final = 9.0
#: Crossings that stay listed, newest kept: a day of a busy dock.
TRUTH_LIMIT: Final = 10_000
#: Movements the scene holds at once; more are refused, for each costs every reader time.
MOVEMENT_LIMIT: Final = 500
#: Walking and truck speed through a door, metres per second.
DEFAULT_SPEED: Final = 1.3
#: EUR pallet and the height of its load, metres (length along the crossing axis).
_LENGTH, _WIDTH, _HEIGHT = 1.2, 0.8, 1.4
#: One-way loss per case between a label and the outside of the load, in dB.
_INNER_CASE_DB: Final = 2.0


class Direction(StrEnum):
    """Which way a crossing goes."""

    IN = "in"
    OUT = "out"


class Course(StrEnum):
    """What a movement does. Only `in`, `out` and `wait` cross the door."""

    IN = "in"
    OUT = "out"
    TURN_BACK = "turn-back"  # comes to the door plane, goes back
    PASS_BY = "pass-by"  # along the wall, inside
    WAIT = "wait"  # a forklift that waits in the doorway, then goes in
    STAGE = "stage"  # put down just inside, stays


class Tag(NamedTuple):
    """One tag on a load: where it sits on it and what one-way loss the load adds."""

    epc: str
    offset: Point
    attenuation_db: float


class PlacedTag(NamedTuple):
    """One tag at one moment."""

    epc: str
    position: Point
    attenuation_db: float


class Waypoint(NamedTuple):
    """Where the middle of a load is at a time; between two waypoints it moves evenly."""

    at: int
    x: float
    y: float


class Crossing(msgspec.Struct, frozen=True):
    """The truth: this load crossed this door at that time."""

    door: str
    direction: Direction
    at: int
    epcs: tuple[str, ...]


class Movement(NamedTuple):
    """Tags that travel along a path; before it and after it they are out of reach."""

    door: str
    tags: tuple[Tag, ...]
    path: tuple[Waypoint, ...]

    def centre(self, at: int) -> tuple[float, float] | None:
        """The middle of the load, None outside the time of the path."""
        path = self.path
        if not path[0].at <= at <= path[-1].at:
            return None
        for before, after in pairwise(path):
            if at <= after.at:
                share = (at - before.at) / (after.at - before.at) if after.at > before.at else 1.0
                return before.x + (after.x - before.x) * share, before.y + (after.y - before.y) * share
        return path[-1].x, path[-1].y

    def crossings(self) -> tuple[tuple[Direction, int], ...]:
        """Direction and time of a net change of side; a load that turns back crossed nothing."""
        first, last = self.path[0], self.path[-1]
        if (first.y < 0) == (last.y < 0):
            return ()
        direction = Direction.IN if first.y < 0 else Direction.OUT
        crossed = first.at
        for before, after in pairwise(self.path):
            if (before.y < 0) != (after.y < 0):
                share = before.y / (before.y - after.y)
                crossed = before.at + round((after.at - before.at) * share)
        return ((direction, crossed),)


def pallet(epcs: Sequence[str], sscc: str | None = None, material: str = "none") -> tuple[Tag, ...]:
    """The tags of a pallet: cases in layers on the load, the SSCC's label on its side.

    `epcs` and `sscc` are hex EPCs; `material` is a key of MATERIALS. Labels inside the load lose more.
    """
    loss = MATERIALS[material]
    columns, rows = 3, 2
    layers = max(1, -(-len(epcs) // (columns * rows)))
    tags = [Tag(sscc, (_WIDTH / 2, 0.0, 0.9), 0.0)] if sscc else []
    for number, epc in enumerate(epcs):
        layer, place = divmod(number, columns * rows)
        column, row = divmod(place, rows)
        offset = (
            (row - (rows - 1) / 2) * _WIDTH / rows,
            (column - (columns - 1) / 2) * _LENGTH / columns,
            0.3 + layer * _HEIGHT / layers,
        )
        inner = _INNER_CASE_DB if column == 1 else 0.0
        tags.append(Tag(epc, offset, loss + inner))
    return tuple(tags)


class Scene:
    """Doors, loads that move, strays that stand still, and the list of true crossings."""

    def __init__(self, doors: dict[str, float], random: Random, strays: Iterable[PlacedTag] = ()) -> None:
        """`doors` maps each door's name to its x in metres; `random` draws the small differences between movements."""
        self.doors = dict(doors)
        self.strays = tuple(strays)
        self._random = random
        self._movements: list[Movement] = []
        self._truth: deque[Crossing] = deque(maxlen=TRUTH_LIMIT)

    @property
    def truth(self) -> tuple[Crossing, ...]:
        """Every crossing that was sent, in the order of sending."""
        return tuple(self._truth)

    def send(
        self, load: Sequence[Tag], door: str, direction: Direction, at: int, speed: float = DEFAULT_SPEED
    ) -> Crossing:
        """Let a load pass a door, starting at `at`; returns the crossing to be. Raises ValueError (see `move`)."""
        return self.move(load, door, Course(direction.value), at, speed)[0]

    def move(
        self,
        load: Sequence[Tag],
        door: str,
        course: Course,
        at: int,
        speed: float = DEFAULT_SPEED,
        wait_s: float = 20.0,
    ) -> tuple[Crossing, ...]:
        """Add a movement that starts at `at`, in m/s and seconds; returns its crossings (none for most courses).

        Raises ValueError for an unknown door, a speed outside 0.1 to 5 m/s, or a scene that is full.
        """
        if door not in self.doors:
            raise ValueError(f"there is no door {door!r}; the doors are {', '.join(self.doors)}")
        if not 0.1 <= speed <= 5.0:
            raise ValueError(f"the speed {speed} m/s is not between 0.1 and 5")
        if len(self._movements) >= MOVEMENT_LIMIT:
            raise ValueError(f"the scene holds {MOVEMENT_LIMIT} movements already; wait until some have ended")
        x = self.doors[door] + self._random.uniform(-0.3, 0.3)
        movement = Movement(door, tuple(load), _path(course, x, at, speed, wait_s))
        self._movements.append(movement)
        epcs = tuple(tag.epc for tag in load)
        crossings = tuple(Crossing(door, direction, when, epcs) for direction, when in movement.crossings())
        self._truth.extend(crossings)
        return crossings

    def tags_at(self, at: int) -> list[PlacedTag]:
        """All moving and staged tags at a time; strays stand in `strays`."""
        placed: list[PlacedTag] = []
        for movement in self._movements:
            centre = movement.centre(at)
            if centre is None:
                continue
            x, y = centre
            for epc, (dx, dy, dz), loss in movement.tags:
                placed.append(PlacedTag(epc, (x + dx, y + dy, dz), loss))
        return placed

    def forget(self, before: int) -> None:
        """Drop the movements that ended before a time; the truth about them stays."""
        self._movements = [movement for movement in self._movements if movement.path[-1].at >= before]


def _path(course: Course, x: float, at: int, speed: float, wait_s: float) -> tuple[Waypoint, ...]:
    def after(seconds: float) -> int:
        return at + round(seconds * 1_000_000)

    run = FAR / speed
    if course is Course.IN:
        return Waypoint(at, x, -FAR), Waypoint(after(2 * run), x, FAR)
    if course is Course.OUT:
        return Waypoint(at, x, FAR), Waypoint(after(2 * run), x, -FAR)
    if course is Course.TURN_BACK:
        reach = (FAR - 0.3) / speed
        return (
            Waypoint(at, x, -FAR),
            Waypoint(after(reach), x, -0.3),
            Waypoint(after(reach + 1.0), x, -0.3),
            Waypoint(after(2 * reach + 1.0), x, -FAR),
        )
    if course is Course.PASS_BY:
        return Waypoint(at, x - FAR, 3.5), Waypoint(after(2 * run), x + FAR, 3.5)
    if course is Course.WAIT:
        return (
            Waypoint(at, x, -FAR),
            Waypoint(after(run), x, 0.0),
            Waypoint(after(run + wait_s), x, 0.0),
            Waypoint(after(2 * run + wait_s), x, FAR),
        )
    return Waypoint(at, x, 2.5), Waypoint(after(wait_s), x, 2.5)


def strays_behind(doors: dict[str, float], count: int, random: Random, epcs: Sequence[str]) -> tuple[PlacedTag, ...]:
    """`count` tags on goods that stand 3 to 7 m inside the wall, near the doors. Needs as many `epcs`."""
    places = sorted(doors.values()) or [0.0]
    return tuple(
        PlacedTag(
            epc,
            (random.uniform(places[0] - 3, places[-1] + 3), random.uniform(3.0, 7.0), random.uniform(0.3, 2.0)),
            random.choice(sorted(MATERIALS.values())) / 2,
        )
        for epc in epcs[:count]
    )
