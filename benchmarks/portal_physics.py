"""Read streams of dock doors with known truth: the physics, the ranges and the scenarios of the portal benchmark.

Written, and fixed, before the dock-door rule was tuned; it shares no code with the gateway or its emulator. It is a
model, not field data: a rule that fails here fails in the field, a rule that passes here still has to be calibrated.

World. x runs along the dock wall, y through it (y < 0 outside, y > 0 inside), z up; metres. A door has two antennas
on its right jamb, at x = door + 1.3, y = -1 (outside zone) and y = +1 (inside zone), z = 2, turned to the middle of
the door and 20 degrees away from the wall. One reader per door switches between them every 100 ms.

Radio. Strength = -38 dBm at 1 m on the axis, less 30 dB per decade of distance, less the pattern twice (12 dB per
(angle / 70 degrees)^2, back lobe 14 dB in all: a dock is full of metal), less 6 dB for 15 % of the cases (liquid).
Shadowing: normal, 3 dB per tag and 3 dB per tag and antenna. Multipath: a sum of sinusoids over the tag's position,
sigma 3 dB, wavelengths 0.16-0.6 m. Surroundings: sigma 1 dB with 2 s correlation, always; sigma 3 dB with 0.3 s
correlation on tags that rest while goods move within 3 m of the antenna; goods between tag and antenna take 6 dB.
Noise 1 dB per read; reported in whole dBm. A tag answers with probability logistic((strength + 66 dBm) / 2 dB).

Reader. 350 reads/s shared by the tags that answer, at most 20 per second and tag; `miss` is further random loss.
Reports leave at the end of each dwell and arrive 10-60 ms later.

Motion. Pallets of 12-24 cases and one SSCC, cases within +-0.6 m along and +-0.4 m across, 0.2-1.7 m high; speed
log-uniform 0.4-2.5 m/s with +-15 % change every metre; course within 0.3 m of the middle of the door; from 9 m on one
side to 9 m on the other. 14 strays rest 2-5 m from the door unless a scenario says otherwise.

Truth. A tag crosses when the *pallet's* centre passes y = 0 for good. `cleared_at` is the moment at which the pallet
is 2.5 m beyond the wall or comes to rest. Families whose name is in HELD_OUT were never looked at during tuning.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

#: Seconds one antenna is active before the reader switches.
DWELL = 0.1
#: Reads per second that a reader can make in all, and of one tag at most.
READER_RATE, TAG_RATE = 350.0, 20.0
#: Seconds from one event's start to the next one's, beside the event's own length.
PAUSE = 4.0
TUNING_SEEDS = range(1, 21)
REPORT_SEEDS = range(101, 121)


@dataclass(frozen=True, slots=True)
class Truth:
    """One tag that really crossed. Times in seconds of the stream."""

    identifier: str
    door: str
    direction: str
    crossed_at: float
    cleared_at: float
    pallet: int


@dataclass(frozen=True, slots=True)
class Read:
    """One read in the order of arrival. `zone` is 0 outside, 1 inside; times in seconds, strength in dBm."""

    door: int
    zone: int
    identifier: str
    reader_time: float
    arrival: float
    strength: float


@dataclass(slots=True)
class Tag:
    identifier: str
    times: np.ndarray  # waypoints: seconds
    points: np.ndarray  # waypoints: (n, 3) metres
    kind: str
    loss: float = 0.0
    pallet: int = 0  # 0: no pallet, at rest for ever


@dataclass(slots=True)
class World:
    """A scenario drawn from one seed. `kinds` says of every tag what it was, to name what a rule posted wrongly."""

    rng: np.random.Generator
    doors: list[float] = field(default_factory=lambda: [0.0])
    tags: list[Tag] = field(default_factory=list)
    truth: list[Truth] = field(default_factory=list)
    miss: float = 0.0
    clock: float = 2.0
    pallets: int = 0
    weak: dict[tuple[int, int], float] = field(default_factory=dict)  # (door, zone) -> dB lost
    dead: list[tuple[int, int, float, float]] = field(default_factory=list)  # door, zone, from, until
    skew: dict[tuple[int, int], float] = field(default_factory=dict)  # (door, zone) -> seconds
    disordered: bool = False

    def name(self) -> str:
        return f"30{len(self.tags) + 1:06X}{int(self.rng.integers(1 << 32)):08X}{int(self.rng.integers(1 << 32)):08X}"

    def stray(self, kind: str, x: float, y: float) -> None:
        point = np.array([[x, y, self.rng.uniform(0.2, 2.0)]])
        self.tags.append(Tag(self.name(), np.array([0.0]), point, kind))

    def strays(self, count: int = 14, kind: str = "stray") -> None:
        """Tags at rest 2-5 m from a door, on either side, not in the doorway itself."""
        placed = 0
        while placed < count:
            angle, distance = self.rng.uniform(0, 2 * math.pi), self.rng.uniform(2.0, 5.0)
            x, y = distance * math.cos(angle), distance * math.sin(angle)
            if abs(y) > 0.8:
                self.stray(kind, x + float(self.rng.choice(self.doors)), y)
                placed += 1

    def carry(self, waypoints: list[tuple[float, float, float]], kind: str, tags: list[Tag] | None = None) -> list[Tag]:
        """A pallet along waypoints (seconds, x, y); or tags already there, moved on."""
        times = np.array([w[0] for w in waypoints])
        centre = np.array([[w[1], w[2], 0.0] for w in waypoints])
        self.pallets += 1
        if tags is not None:
            for tag in tags:
                rest = tag.points[-1] - np.array([centre[0][0], centre[0][1], 0.0])
                tag.times = np.concatenate([tag.times, times])
                tag.points = np.concatenate([tag.points, centre + rest])
            return tags
        made: list[Tag] = []
        for case in range(int(self.rng.integers(12, 25)) + 1):
            offset = np.array([self.rng.uniform(-0.4, 0.4), self.rng.uniform(-0.6, 0.6), self.rng.uniform(0.2, 1.7)])
            loss = 6.0 if case and self.rng.random() < 0.15 else 0.0
            tag = Tag(self.name(), times, centre + offset, kind, loss, self.pallets)
            self.tags.append(tag)
            made.append(tag)
        return made

    def crossed(self, tags: list[Tag], door: int, direction: str, waypoints: list[tuple[float, float, float]]) -> None:
        times, ys = [w[0] for w in waypoints], [w[2] for w in waypoints]
        sign = 1.0 if direction == "in" else -1.0
        grid = np.linspace(times[0], times[-1], 4000)
        side = np.interp(grid, times, ys) * sign
        crossed = float(grid[np.flatnonzero(side <= 0)[-1]])
        beyond = np.flatnonzero((grid > crossed) & (side >= min(2.5, side[-1] - 1e-6)))
        cleared = float(grid[beyond[0]])
        for tag in tags:
            self.truth.append(Truth(tag.identifier, f"door-{door + 1}", direction, crossed, cleared, self.pallets))

    def leg(
        self, start: float, x: float, y0: float, y1: float, speed: float | None = None
    ) -> list[tuple[float, float, float]]:
        """A straight drive at constant x from y0 to y1; the pace changes every metre."""
        speed = speed or self.speed()
        steps = max(int(abs(y1 - y0)), 1)
        points, now = [(start, x, y0)], start
        for step in range(1, steps + 1):
            now += abs(y1 - y0) / steps / (speed * self.rng.uniform(0.85, 1.15))
            points.append((now, x, y0 + (y1 - y0) * step / steps))
        return points

    def speed(self) -> float:
        return float(math.exp(self.rng.uniform(math.log(0.4), math.log(2.5))))

    def lane(self, door: int = 0) -> float:
        return self.doors[door] + float(self.rng.uniform(-0.3, 0.3))

    def cross(self, door: int = 0, start: float | None = None, direction: str | None = None) -> float:
        """A plain crossing; returns when it ends."""
        direction = direction or ("in", "out")[int(self.rng.integers(2))]
        far = -9.0 if direction == "in" else 9.0
        path = self.leg(self.clock if start is None else start, self.lane(door), far, -far)
        self.crossed(self.carry(path, "pallet"), door, direction, path)
        return path[-1][0]


def _crossings(world: World, miss: float = 0.0, count: int = 8) -> None:
    world.miss = miss
    world.strays()
    for _ in range(count):
        world.clock = world.cross() + PAUSE


def _strays(world: World) -> None:
    """Sixty strays, half the pallets with 35 % loss: the case in which a stray is most easily drawn along."""
    world.miss = 0.35
    world.strays(60)
    for _ in range(6):
        world.clock = world.cross() + PAUSE


def _turn_backs(world: World) -> None:
    """The pallet comes as far as the doorway, up to 0.4 m beyond the line, rests 0.5-4 s and goes back."""
    world.strays()
    for index in range(8):
        if index % 4 == 3:
            world.clock = world.cross() + PAUSE
            continue
        side = float(world.rng.choice([-1.0, 1.0]))
        depth, x = side * world.rng.uniform(-0.4, 1.2), world.lane()
        path = world.leg(world.clock, x, side * 9.0, depth)
        path += world.leg(path[-1][0] + world.rng.uniform(0.5, 4.0), x, depth, side * 9.0)
        world.carry(path, "turn-back")
        world.clock = path[-1][0] + PAUSE


def _passers_by(world: World) -> None:
    """Goods driven past the door along the wall, 1.8-4 m from it, inside or outside, some while others cross."""
    world.strays()
    for index in range(8):
        y = float(world.rng.choice([-1.0, 1.0])) * world.rng.uniform(1.8, 4.0)
        far = float(world.rng.choice([-1.0, 1.0])) * 9.0
        path = [(t, y0, y) for t, _, y0 in world.leg(world.clock, 0.0, far, -far)]
        world.carry(path, "passer-by")
        end = path[-1][0]
        if index % 2:
            end = max(end, world.cross(start=world.clock + world.rng.uniform(0, 3)))
        world.clock = end + PAUSE


def _three_doors(world: World) -> None:
    """Three doors 3-4 m apart; two or three pallets at different doors within 3 s, any directions."""
    gap = world.rng.uniform(3.0, 4.0)
    world.doors = [0.0, gap, 2 * gap]
    world.miss = 0.2
    world.strays(20)
    for _ in range(5):
        doors = world.rng.permutation(3)[: int(world.rng.integers(2, 4))]
        ends = [world.cross(int(door), world.clock + world.rng.uniform(0, 3)) for door in doors]
        world.clock = max(ends) + PAUSE


def _waiting(world: World) -> None:
    """A forklift waits 3-20 s in the doorway, then goes on (two of three) or back."""
    world.strays()
    for index in range(6):
        direction = ("in", "out")[int(world.rng.integers(2))]
        far, x = (-9.0 if direction == "in" else 9.0), world.lane()
        stop = world.rng.uniform(-0.5, 0.5)
        path = world.leg(world.clock, x, far, stop)
        onward = -far if index % 3 else far
        path += world.leg(path[-1][0] + world.rng.uniform(3.0, 20.0), x, stop, onward)
        tags = world.carry(path, "waited and went back" if onward == far else "pallet")
        if onward != far:
            world.crossed(tags, 0, direction, path)
        world.clock = path[-1][0] + PAUSE


def _staged(world: World) -> None:
    """Pallets put down 2-3.5 m inside: some came through the door, some leave through it, some neither."""
    world.strays()
    for index in range(6):
        x, rest = world.lane() + world.rng.uniform(-0.8, 0.8), world.rng.uniform(2.0, 3.5)
        hold = world.rng.uniform(12.0, 25.0)
        if index % 3 == 0:  # comes in, is put down, later driven deeper into the house
            path = world.leg(world.clock, x, -9.0, rest)
            tags = world.carry(path, "pallet")
            world.crossed(tags, 0, "in", path)
            away = world.leg(path[-1][0] + hold, x, rest, 9.0)
            world.carry(away, "staged", tags)
        elif index % 3 == 1:  # brought from the house, put down, shipped
            bring = world.leg(world.clock, x, 9.0, rest)
            tags = world.carry(bring, "staged")
            away = world.leg(bring[-1][0] + hold, x, rest, -9.0)
            world.carry(away, "pallet", tags)
            world.crossed(tags, 0, "out", away)
        else:  # brought, put down, taken back, while another pallet crosses
            path = world.leg(world.clock, x, 9.0, rest)
            path += world.leg(path[-1][0] + hold, x, rest, 9.0)
            world.carry(path, "staged")
            world.cross(start=path[0][0] + world.rng.uniform(2.0, 8.0))
            away = path
        world.clock = away[-1][0] + PAUSE + 2.0


def _nose_to_tail(world: World) -> None:
    """Held out. Two pallets through one door with 1.6-3 m between centres, at one speed; or one in, one out at once
    in a door wide enough for both (0.8 m apart), at different speeds."""
    world.miss = 0.2
    world.strays()
    for index in range(5):
        if index % 2 == 0:
            speed, direction = world.speed(), ("in", "out")[int(world.rng.integers(2))]
            far = -9.0 if direction == "in" else 9.0
            first = world.leg(world.clock, world.lane(), far, -far, speed)
            world.crossed(world.carry(first, "pallet"), 0, direction, first)
            lag = world.rng.uniform(1.6, 3.0) / speed
            second = [(t + lag, x, y) for t, x, y in first]
            world.crossed(world.carry(second, "pallet"), 0, direction, second)
            world.clock = second[-1][0] + PAUSE
        else:
            ends: list[float] = []
            for direction, shift in (("in", -0.8), ("out", 0.8)):
                far = -9.0 if direction == "in" else 9.0
                path = world.leg(world.clock + world.rng.uniform(0, 2), shift, far, -far)
                world.crossed(world.carry(path, "pallet"), 0, direction, path)
                ends.append(path[-1][0])
            world.clock = max(ends) + PAUSE


def _degraded(world: World) -> None:
    """Held out. One reader per zone, clocks up to 5 s apart, one antenna 8 dB weak, 20 % loss, reports late, swapped
    and doubled; during one of eight pallets an antenna is dead, during another a reader restarts (2 s silence, a new
    clock)."""
    _crossings(world, 0.2)
    world.disordered = True
    world.skew = {(0, 0): world.rng.uniform(-5, 5), (0, 1): world.rng.uniform(-5, 5)}
    world.weak = {(0, int(world.rng.integers(2))): 8.0}
    moments = sorted({t.pallet: t.crossed_at for t in world.truth}.values())
    world.dead = [(0, int(world.rng.integers(2)), moments[2] - 12.0, moments[2] + 12.0)]
    world.dead.append((0, int(world.rng.integers(2)), moments[5] - 4.0, moments[5] - 2.0))


def _round_trips(world: World) -> None:
    """Held out. A pallet crosses, turns 4-7 m beyond and comes back through that door after 2-8 s: two crossings."""
    world.miss = 0.2
    world.strays()
    for _ in range(5):
        direction = ("in", "out")[int(world.rng.integers(2))]
        back = "out" if direction == "in" else "in"
        far, x = (-9.0 if direction == "in" else 9.0), world.lane()
        turn = -math.copysign(world.rng.uniform(4.0, 7.0), far)
        there = world.leg(world.clock, x, far, turn)
        tags = world.carry(there, "pallet")
        world.crossed(tags, 0, direction, there)
        home = world.leg(there[-1][0] + world.rng.uniform(2.0, 8.0), x, turn, far)
        world.carry(home, "pallet", tags)
        world.crossed(tags, 0, back, home)
        world.clock = home[-1][0] + PAUSE


FAMILIES: dict[str, Callable[[World], None]] = {
    "clean": _crossings,
    "miss 0.35": lambda world: _crossings(world, 0.35),
    "miss 0.6": lambda world: _crossings(world, 0.6),
    "miss 0.8": lambda world: _crossings(world, 0.8),
    "60 strays": _strays,
    "turn-backs": _turn_backs,
    "passers-by": _passers_by,
    "three doors": _three_doors,
    "waiting forklift": _waiting,
    "staged inside": _staged,
    "nose to tail": _nose_to_tail,
    "degraded": _degraded,
    "round trips": _round_trips,
}
HELD_OUT = ("nose to tail", "degraded", "round trips")


def draw(family: str, seed: int) -> tuple[World, list[Read]]:
    """The world of one family and seed, and what its readers report, in order of arrival."""
    rng = np.random.default_rng([list(FAMILIES).index(family), seed])
    world = World(rng)
    FAMILIES[family](world)
    reads: list[Read] = []
    for door in range(len(world.doors)):
        reads += _reads_of_door(world, door)
    if world.disordered:
        reads = _disorder(world, reads)
    reads.sort(key=lambda read: read.arrival)
    return world, reads


def _reads_of_door(world: World, door: int) -> list[Read]:
    slots = np.arange(0.0, world.clock + 4.0, 2 * DWELL)
    power = np.zeros((2, len(world.tags), len(slots)))
    for zone in (0, 1):
        times = slots + zone * DWELL + DWELL / 2
        power[zone] = _strengths(world, door, zone, times)
    reads: list[Read] = []
    for zone in (0, 1):
        answers = 1.0 / (1.0 + np.exp(-(power[zone] + 66.0) / 2.0))
        for dead_door, dead_zone, start, end in world.dead:
            if (dead_door, dead_zone) == (door, zone):
                answers[:, (slots >= start) & (slots <= end)] = 0.0
        crowd = np.maximum(answers.sum(axis=0), 1.0)
        rate = np.minimum(TAG_RATE, READER_RATE / crowd)
        counts = world.rng.poisson(answers * rate * DWELL * (1.0 - world.miss))
        skew = world.skew.get((door, zone), 0.0)
        for tag_index, slot in zip(*np.nonzero(counts), strict=True):
            start = float(slots[slot]) + zone * DWELL
            sent = start + DWELL + float(world.rng.uniform(0.01, 0.06))
            for moment in np.sort(world.rng.uniform(start, start + DWELL, counts[tag_index, slot])):
                strength = round(float(power[zone, tag_index, slot] + world.rng.normal(0, 1.0)))
                name = world.tags[tag_index].identifier
                reads.append(Read(door, zone, name, float(moment) + skew, sent, strength))
    return reads


def _strengths(world: World, door: int, zone: int, times: np.ndarray) -> np.ndarray:
    """Strength in dBm of every tag (rows) at one antenna over time; -200 where the tag is not in the world."""
    side = -1.0 if zone == 0 else 1.0
    antenna = np.array([world.doors[door] + 1.3, side, 2.0])
    tilt = math.radians(20.0)
    axis = np.array([-math.cos(tilt), side * math.sin(tilt), -0.5])
    axis /= np.linalg.norm(axis)
    places = [np.stack([np.interp(times, tag.times, tag.points[:, i]) for i in range(3)], axis=1) for tag in world.tags]
    moving = np.zeros(len(times))
    bodies: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # pallet -> when it is there, where; one tag speaks for it
    for tag, place in zip(world.tags, places, strict=True):
        if tag.pallet and tag.pallet not in bodies:
            near = np.linalg.norm(place[:, :2] - antenna[:2], axis=1) < 3.0
            moving = np.maximum(moving, (_moves(place) & near).astype(float))
            bodies[tag.pallet] = ((times >= tag.times[0]) & (times <= tag.times[-1]), place)
    rows = np.full((len(world.tags), len(times)), -200.0)
    for row, (tag, place) in enumerate(zip(world.tags, places, strict=True)):
        away = place - antenna
        distance = np.maximum(np.linalg.norm(away, axis=1), 0.5)
        angle = np.degrees(np.arccos(np.clip(away @ axis / distance, -1.0, 1.0)))
        level = -38.0 - 30.0 * np.log10(distance) - np.minimum(2 * 12.0 * (angle / 70.0) ** 2, 14.0)
        level += world.rng.normal(0, 3.0) - tag.loss - world.weak.get((door, zone), 0.0)
        level += _shadow(tag.identifier)
        level += _multipath(world.rng, place)
        level += _drift(world.rng, len(times), 1.0, 2.0)
        still = ~_moves(place)
        level += _drift(world.rng, len(times), 3.0, 0.3) * moving * still
        others = [present * _between(antenna, place, at) for p, (present, at) in bodies.items() if p != tag.pallet]
        if others:
            level -= 6.0 * still * np.max(others, axis=0)
        if tag.pallet:
            level = np.where((times >= tag.times[0]) & (times <= tag.times[-1]), level, -200.0)
        rows[row] = level
    return rows


def _moves(place: np.ndarray) -> np.ndarray:
    """Where a track of positions changes by more than 0.1 m/s."""
    return np.linalg.norm(np.gradient(place, axis=0), axis=1) > 0.1 * 2 * DWELL


def _shadow(identifier: str) -> float:
    """Shadowing common to all antennas of a tag: a normal draw of 3 dB that depends on the tag alone."""
    return float(np.random.default_rng(int(identifier[8:], 16)).normal(0, 3.0))


def _multipath(rng: np.random.Generator, place: np.ndarray) -> np.ndarray:
    total = np.zeros(len(place))
    for _ in range(6):
        wave = rng.normal(size=3)
        wave *= 2 * math.pi / rng.uniform(0.16, 0.6) / np.linalg.norm(wave)
        total += np.sin(place @ wave + rng.uniform(0, 2 * math.pi))
    return total * 3.0 / math.sqrt(3.0)


def _drift(rng: np.random.Generator, count: int, sigma: float, correlation: float) -> np.ndarray:
    """A first-order process sampled every two dwells."""
    keep = math.exp(-2 * DWELL / correlation)
    steps = rng.normal(0, sigma * math.sqrt(1 - keep * keep), count)
    out = np.empty(count)
    value = rng.normal(0, sigma)
    for index in range(count):
        value = keep * value + steps[index]
        out[index] = value
    return out


def _between(antenna: np.ndarray, tag: np.ndarray, body: np.ndarray) -> np.ndarray:
    """1 where a body stands on the straight line from antenna to tag (in plan), falling off with 0.6 m."""
    line = tag[:, :2] - antenna[:2]
    length = np.maximum(np.linalg.norm(line, axis=1), 0.1)
    rel = body[:, :2] - antenna[:2]
    along = (rel * line).sum(axis=1) / length
    across = (rel[:, 0] * line[:, 1] - rel[:, 1] * line[:, 0]) / length
    inside = (along > 0) & (along < length)
    return np.where(inside, np.exp(-(across**2) / (2 * 0.6**2)), 0.0)


def _disorder(world: World, reads: list[Read]) -> list[Read]:
    """Late, swapped and doubled reports; after a dead spell of under 3 s the reader's clock is another one."""
    restart = [(d, z, end) for d, z, start, end in world.dead if end - start < 3.0]
    fresh = float(world.rng.uniform(-60, 60))
    out: list[Read] = []
    for read in reads:
        late = float(world.rng.uniform(0.2, 0.6)) if world.rng.random() < 0.05 else 0.0
        shift = sum(fresh for d, z, end in restart if (d, z) == (read.door, read.zone) and read.arrival > end + 0.1)
        moved = Read(
            read.door, read.zone, read.identifier, read.reader_time + shift, read.arrival + late, read.strength
        )
        out.append(moved)
        if world.rng.random() < 0.03:
            out.append(moved)
    return out
