"""The dock-door rule: sightings at all doors of a site become crossings, each decided once."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec

from gateway.observations.crossing import RULE, Crossing, Evidence, Member, OpenPassage
from gateway.observations.direction import Look, Path, common_rest, companion, look, path, shorten
from gateway.observations.pallets import groups
from gateway.observations.passages import BIN, TRACKS, PassageTracker, ReaderClock, Track
from gateway.observations.portal import Direction, DoorConfig, Expectation
from gateway.observations.sighting import Sighting
from gateway.observations.strays import StrayLedger

#: Microseconds between two looks at a door's open passages.
LOOK_EVERY = 400_000
#: Turns over which the looks at many doors are spread: the pipeline calls every 100 ms.
TURNS = 4
#: Microseconds for which an ended passage can still join its pallet.
LINGER = 4_000_000
#: Microseconds after a crossing in which a late tag of that pallet still joins, and another door cannot claim the tag.
JOIN_FOR, CLAIM_FOR = 5_000_000, 8_000_000
#: Microseconds of the reports' own way, beside the silence that ends a passage.
REPORT_WAY = 200_000
#: Fewest confident tags that make a pallet whose curve others may follow.
PALLET = 3
#: Centi-dB below the floor at which a tag may still join: its pallet vouches for it, shielded cases are weak.
JOIN_FLOOR = 400
#: Share of a pallet's confident tags whose own peaks must agree with it.
AGREEING = 0.75
#: Microseconds that must have passed since the goods were in the door.
SETTLED = 500_000
#: Centi-dB by which goods may seem to have come back to the near zone, for noise.
RETURNED = 150.0
#: Centi-dB below its peak at which the far zone has certainly been passed, whatever noise says of the near zone.
FAR_GONE = 800.0
#: Centi-dB, both zones together, by which a single tag must be stronger at its door than at another one.
LONE_MARGIN = 600
#: Bins by which the peaks of a joining tag may differ from its pallet's, and that share of the time between the peaks:
#: a third more than within the confident, for fewer reads place a peak less well.
JOIN_REACH, JOIN_SHARE = 8.0, 0.6
#: Nats that each read of a joining tag asks for: a tag that was read often and moved shows it plainly.
PER_READ = 0.05
#: Centi-dB of contrast that fewer than `PALLET` tags must show.
LONE_CONTRAST = 1000.0
#: `moving` ratio above which a tag counts as moving goods when a lone tag is judged.
CROWD_MOVING = 6.0
#: Share of the goods that move at a door that a pallet must make up.
CROWD_SHARE = 0.25
#: Nats by which an expected tag is believed sooner, an unexpected or static one later.
EXPECTED_SHIFT = 2.0
#: Nats against crossing the same way again within a minute without having come back.
REPEAT_SHIFT, REPEAT_WITHIN = 2.0, 60_000_000
#: Crossings remembered for doubles: an hour of a busy site.
REMEMBERED = 50_000


class _Decided(msgspec.Struct):
    crossing: Crossing
    path: Path
    members: set[str]


class _Door:
    def __init__(self, config: DoorConfig) -> None:
        self.config = config
        self.tracker = PassageTracker(config)
        self.lingering: dict[str, Track] = {}  # ended passages that may still join their pallet
        self.decided: list[_Decided] = []
        self.pallets = 0
        self.looked: int | None = None


class DoorRule:
    """All doors of one site. Drive it with `observe` and `advance`; pure: time comes with the calls.

    `prior` says what the ledger expects of a tag; it shifts a threshold and never decides.
    """

    def __init__(self, doors: Sequence[DoorConfig], prior: Callable[[str], Expectation | None] | None = None) -> None:
        self.strays = StrayLedger()
        self.unknown_points = 0
        self._doors = [_Door(config) for config in doors]
        self._points = {point: door for door in self._doors for point in (*door.config.inside, *door.config.outside)}
        self._names = tuple(door.config.name for door in self._doors)
        self._clocks: dict[str, ReaderClock] = {}
        self._prior = prior
        self._crossed: OrderedDict[str, tuple[_Door, Direction, int]] = OrderedDict()

    def observe(self, sightings: Sequence[Sighting]) -> None:
        """Take sightings in the order of their arrival."""
        for sighting in sightings:
            door = self._points.get(sighting.read_point)
            if door is None:
                self.unknown_points += 1
                continue
            clock = self._clocks.get(sighting.device)
            if clock is None:
                clock = self._clocks[sighting.device] = ReaderClock()
            moment = clock.monotonic(sighting.reader_time, sighting.monotonic)
            ended = door.tracker.observe(sighting, moment)
            if ended is not None:
                self._linger(door, ended)

    def advance(self, monotonic: int) -> list[Crossing]:
        """Let time pass to `monotonic` microseconds; returns what is decided now."""
        out: list[Crossing] = []
        for number, door in enumerate(self._doors):
            if door.looked is None:  # doors take turns, so that no single call is long
                door.looked = monotonic - LOOK_EVERY + number % TURNS * LOOK_EVERY // TURNS
            if monotonic - door.looked >= LOOK_EVERY:
                door.looked = monotonic
                out += self._look(door, monotonic)
        return out

    def live(self) -> list[OpenPassage]:
        """The open passages of all doors with the evidence so far."""
        out: list[OpenPassage] = []
        for door in self._doors:
            for track in door.tracker.tracks.values():
                seen = _seen(track)
                out.append(
                    OpenPassage(
                        door=door.config.name,
                        identifier=track.identifier,
                        since=track.first,
                        last=track.last,
                        reads=seen.reads if seen else (track.total, 0),
                        strongest=max(seen.strongest) if seen else track.strongest(),
                        moving=seen.moving if seen else 0.0,
                        resting=track.resting_since is not None,
                    )
                )
        return out

    def _look(self, door: _Door, now: int) -> list[Crossing]:
        tracker = door.tracker
        pool: list[tuple[Track, Look]] = []
        for track in list(tracker.tracks.values()):
            if now - track.last > tracker.patience(track) + REPORT_WAY:
                del tracker.tracks[track.identifier]
                self._linger(door, track)
            elif tracker.settle(track, now):
                seen = _seen(track)
                if seen is not None:
                    pool.append((track, seen))
        for track in list(door.lingering.values()):
            if now - track.last > LINGER:
                del door.lingering[track.identifier]
                self._stray(door, track)
                continue
            seen = _seen(track)
            if seen is not None:
                pool.append((track, seen))
        pool = [(t, s) for t, s in pool if not self._claimed(door, t)]
        out = self._late(door, pool, now)
        confident = [(t, s) for t, s in pool if self._confident(door, t, s)]
        gone: set[str] = set()
        rest = common_rest([track for track, _ in confident])
        for group in groups([(shorten(s.peaks[0], rest), shorten(s.peaks[1], rest)) for _, s in confident]):
            members = [confident[i] for i in group if confident[i][0].identifier not in gone]
            crossing = self._decide(door, members, pool, now) if members else None
            if crossing is not None:
                out.append(crossing)
                gone |= {member.identifier for member in crossing.members}
                pool = [(t, s) for t, s in pool if t.identifier not in gone]
        return out

    def _confident(self, door: _Door, track: Track, seen: Look) -> bool:
        limits = door.config.thresholds
        needed = limits.reads_per_zone - (1 if door.config.gpi_gated else 0)
        return (
            min(seen.reads) >= needed
            and seen.concave
            and min(seen.strongest) >= limits.floor
            and seen.moving >= limits.moving + self._shift(door, track.identifier, None)
        )

    def _shift(self, door: _Door, identifier: str, direction: Direction | None) -> float:
        """How much more a tag must show than the threshold says, by the ledger's prior and the never-move list."""
        shift = EXPECTED_SHIFT if self.strays.static(door.config.name, identifier) else 0.0
        prior = self._prior(identifier) if self._prior else None
        if prior is None or direction is None:
            return shift
        likely = {"expected-in": "in", "expected-out": "out", "in-house": "out", "shipped": "in"}[prior]
        if likely != direction:
            return shift + EXPECTED_SHIFT
        return shift - EXPECTED_SHIFT if prior.startswith("expected") else shift

    def _decide(
        self, door: _Door, members: list[tuple[Track, Look]], pool: list[tuple[Track, Look]], now: int
    ) -> Crossing | None:
        limits = door.config.thresholds
        found = path([t for t, _ in members], [s for _, s in members])
        direction: Direction = "in" if found.direction == "in" else "out"
        sign = 1 if direction == "in" else -1
        agreeing = sum((s.peaks[1] - s.peaks[0]) * sign > 0 for _, s in members)
        alone = len(members) < PALLET
        if (
            not self._passed(door, members, found, direction, now)
            or agreeing < AGREEING * len(members)
            or self._crowded(members, pool)
            or self._elsewhere(door, members, LONE_MARGIN if alone else 0)
        ):
            return None
        own = {t.identifier for t, _ in members}
        chosen = [
            (t, s, ratio, False)
            for t, s in members
            if (ratio := companion(t, found)) >= limits.joining and not self._elsewhere(door, [(t, s)], -LONE_MARGIN)
        ]
        if alone and len(chosen) < len(members):
            return None
        if not alone:
            chosen += [
                (t, s, ratio, True)
                for t, s in pool
                if t.identifier not in own
                and (ratio := self._joins(door, t, s, found, direction)) is not None
                and not self._elsewhere(door, [(t, s)], LONE_MARGIN)
            ]
        chosen = _once(chosen)
        if not chosen:
            return None
        door.pallets += 1
        evidence = Evidence(
            rule=RULE,
            crossing=round(found.crossing, 2),
            contrast=round(found.contrast),
            agreeing=agreeing,
            voting=len(members),
            peaks=(int(found.peaks[0] * BIN), int(found.peaks[1] * BIN)),
            reads=sum(sum(s.reads) for _, s, _, _ in chosen),
        )
        crossing = self._post(door, direction, chosen, int(found.crossed * BIN), now, door.pallets, evidence)
        if not alone:
            door.decided.append(_Decided(crossing, found, {member.identifier for member in crossing.members}))
        return crossing

    def _passed(
        self, door: _Door, members: list[tuple[Track, Look]], found: Path, direction: Direction, now: int
    ) -> bool:
        """Whether the pooled curve has gone through the door and is beyond it."""
        limits = door.config.thresholds
        shifts = sorted(
            self._shift(door, t.identifier, direction) + self._repeat(t.identifier, direction, now) for t, _ in members
        )
        needed = limits.crossing + shifts[(len(shifts) - 1) // 2]
        contrast = limits.contrast
        if len(members) < PALLET:
            needed += limits.alone
            contrast = max(contrast, LONE_CONTRAST)
        quiet = REPORT_WAY + int(door.config.silence * 1_000_000)
        silent = all(now - track.last > quiet for track, _ in members)
        gone = found.left >= limits.left and now - found.crossed * BIN >= SETTLED
        return (
            found.crossing >= needed
            and found.contrast >= contrast
            and abs(found.peaks[1] - found.peaks[0]) * BIN >= limits.peaks_apart * 1_000_000
            and (silent or gone)
            and found.arrived >= limits.arrived
            and found.returned <= (RETURNED if found.left > FAR_GONE else -RETURNED)
        )

    @staticmethod
    def _crowded(members: list[tuple[Track, Look]], pool: list[tuple[Track, Look]]) -> bool:
        """Whether these are few beside what else moves at the door: then they are more likely the bent curves of it."""
        own = {t.identifier for t, _ in members}
        since, until = min(t.first for t, _ in members), max(t.last for t, _ in members)
        others = sum(
            t.identifier not in own and s.moving > CROWD_MOVING and t.first < until and t.last > since for t, s in pool
        )
        return others >= PALLET if len(members) < PALLET else len(members) < CROWD_SHARE * (others + len(members))

    def _joins(self, door: _Door, track: Track, seen: Look, found: Path, direction: Direction) -> float | None:
        limits = door.config.thresholds
        if min(seen.reads) < limits.joining_reads or min(seen.strongest) < limits.floor - JOIN_FLOOR:
            return None
        peaks = [shorten(peak, found.rest) for peak in found.peaks]
        reach = max(JOIN_REACH, JOIN_SHARE * abs(peaks[1] - peaks[0]))
        if any(abs(shorten(own, found.rest) - peak) > reach for own, peak in zip(seen.peaks, peaks, strict=True)):
            return None
        ratio = companion(track, found)
        needed = limits.joining + self._shift(door, track.identifier, direction)
        needed += self._repeat(track.identifier, direction, track.last) + PER_READ * sum(seen.reads)
        return ratio if ratio >= needed else None

    def _late(self, door: _Door, pool: list[tuple[Track, Look]], now: int) -> list[Crossing]:
        """Tags that show only now that they moved with a pallet decided a moment ago."""
        out: list[Crossing] = []
        door.decided = [d for d in door.decided if now - d.crossing.decided <= JOIN_FOR]
        for decided in door.decided:
            was = decided.crossing
            chosen = [
                (t, s, ratio, True)
                for t, s in pool
                if t.first < was.decided
                and t.identifier not in decided.members
                and (ratio := self._joins(door, t, s, decided.path, was.direction)) is not None
            ]
            chosen = [c for c in _once(chosen) if not self._elsewhere(door, [(c[0], c[1])], LONE_MARGIN)]
            if chosen:
                out.append(self._post(door, was.direction, chosen, was.crossed, now, was.pallet, was.evidence))
                gone = {t.identifier for t, _, _, _ in chosen}
                decided.members |= gone
                pool[:] = [(t, s) for t, s in pool if t.identifier not in gone]
        return out

    def _repeat(self, identifier: str, direction: Direction, now: int) -> float:
        before = self._crossed.get(identifier)
        if before is None or before[1] != direction or now - before[2] > REPEAT_WITHIN:
            return 0.0
        return REPEAT_SHIFT

    def _elsewhere(self, door: _Door, members: list[tuple[Track, Look]], margin: int) -> bool:
        """Whether these tags are another door's: by their strength in both zones there, all of them together.

        `margin` in centi-dB is what they must be stronger here; one tag's shadowing is several dB, a pallet's averages.
        """
        better = [0.0] * len(self._doors)
        for track, seen in members:
            for number, other in enumerate(self._doors):
                rival = other.tracker.tracks.get(track.identifier) or other.lingering.get(track.identifier)
                if other is door or rival is None or rival.last < track.first:
                    continue
                level = _seen(rival)
                if level is not None:
                    better[number] += sum(level.strongest) - sum(seen.strongest) + margin
        return max(better) > 0

    def _claimed(self, door: _Door, track: Track) -> bool:
        """Whether another door has decided this tag a moment ago: what is left of its reads here is no second crossing."""
        claim = self._crossed.get(track.identifier)
        return claim is not None and claim[0] is not door and track.first - claim[2] < CLAIM_FOR

    def _linger(self, door: _Door, track: Track) -> None:
        earlier = door.lingering.get(track.identifier)
        if earlier is not None:
            self._stray(door, earlier)
        door.lingering[track.identifier] = track
        if len(door.lingering) > TRACKS:
            self._stray(door, door.lingering.pop(next(iter(door.lingering))))

    def _post(
        self,
        door: _Door,
        direction: Direction,
        chosen: Sequence[tuple[Track, Look, float, bool]],
        crossed: int,
        now: int,
        pallet: int,
        evidence: Evidence,
    ) -> Crossing:
        members = tuple(
            Member(
                identifier=track.identifier,
                confidence=_confidence(ratio, evidence.crossing, joined),
                reads=seen.reads,
                strongest=seen.strongest,
                moving=round(seen.moving, 2),
                companion=round(ratio, 2),
                joined=joined,
            )
            for track, seen, ratio, joined in sorted(chosen, key=lambda c: c[0].identifier)
        )
        for member in members:
            name = member.identifier
            for other in self._doors:  # what remains of this passage at any door is no second one
                other.lingering.pop(name, None)
                other.tracker.tracks.pop(name, None)
            self._crossed.pop(name, None)
            self._crossed[name] = (door, direction, now)
            self.strays.crossed(name, self._names)
        while len(self._crossed) > REMEMBERED:
            self._crossed.popitem(last=False)
        return Crossing(
            door=door.config.name,
            place=door.config.place,
            direction=direction,
            members=members,
            first=min(track.first_reader for track, _, _, _ in chosen),
            last=max(track.last_reader for track, _, _, _ in chosen),
            crossed=crossed,
            decided=now,
            pallet=pallet,
            evidence=evidence,
        )

    def _stray(self, door: _Door, track: Track) -> None:
        seen = _seen(track)
        reason = "read in one zone only" if seen is None else "no movement through the door"
        self.strays.note(
            door.config.name, track.identifier, track.total, track.first, track.last, track.strongest(), reason
        )


def _once(chosen: list[tuple[Track, Look, float, bool]]) -> list[tuple[Track, Look, float, bool]]:
    """Of a tag whose passage was torn in two, the part that follows the pallet best."""
    best: dict[str, tuple[Track, Look, float, bool]] = {}
    for entry in chosen:
        name = entry[0].identifier
        if name not in best or entry[2] > best[name][2]:
            best[name] = entry
    return list(best.values())


def _seen(track: Track) -> Look | None:
    """The look at a track, taken anew only when it has new reads."""
    if track.looked != track.total:
        track.looked = track.total
        track.look = look(track)
    seen = track.look
    return seen if isinstance(seen, Look) else None


def _confidence(ratio: float, crossing: float, joined: bool) -> int:
    """Per mille that the tag crossed: the weaker of its own tie to the group and the group's path, as odds."""
    nats = min(ratio - (1.0 if joined else 0.0), crossing)
    return max(500, min(999, round(1000 / (1 + math.exp(-nats)))))
