"""Sightings of one door become passages: what each tag did there, binned in time, bounded in memory."""

from __future__ import annotations

from gateway.observations.portal import DoorConfig
from gateway.observations.sighting import Sighting

#: Microseconds per bin: one dwell of a reader that switches between two antennas every 100 ms.
BIN = 100_000
#: Microseconds after which a report counts as late (held by the reader) or the reader's clock as stepped.
CLOCK_STEP = 1_000_000
#: Reads with a time in our future after which the reader's clock is believed to have stepped forward.
FUTURE_READS = 10
#: Microseconds that a running-minimum offset may grow per second: twice a poor quartz (100 ppm).
OFFSET_LEAK = 200
#: Bins without movement after which a tag rests: 8 s, the field's limit for a stray.
REST_AFTER = 80
#: Bins of a rest that stay in the passage: enough to weigh as a standstill, not enough to drown the movement.
REST_KEPT = 10
#: Centi-dB by which a resting tag's recent level must leave its long level to be looked at again.
WAKE = 450
#: Centi-dB within which the two-second means of a tag at rest stay.
REST_SPREAD = 500
#: Microseconds of silence that end any passage.
LONGEST_SILENCE = 3_000_000
#: Open passages at one door: four truckloads in the field at once.
TRACKS = 4096
#: Reads in a zone before its level is believed.
LEVEL_READS = 4


class ReaderClock:
    """One reader's time mapped to the gateway's monotonic time, by the least delay seen.

    Two readers of one door need not agree; both are brought to the gateway's own clock. Times in microseconds.
    """

    __slots__ = ("_future", "_late_least", "_late_since", "_offset", "_updated")

    def __init__(self) -> None:
        self._offset: int | None = None
        self._updated = 0
        self._late_since: int | None = None
        self._late_least = 0
        self._future = 0

    def monotonic(self, reader_time: int, arrival: int) -> int:
        """The moment of a read in gateway monotonic microseconds; never later than its arrival."""
        delay = arrival - reader_time
        if self._offset is None:
            self._offset, self._updated = delay, arrival
            return arrival
        late = delay - self._offset
        if late < 0:
            return self._early(late, delay, arrival)
        self._future = 0
        if late < CLOCK_STEP:
            self._late_since = None
            leak = (arrival - self._updated) * OFFSET_LEAK // 1_000_000
            if leak > 0:
                self._offset += min(leak, late)
                self._updated = arrival
            return arrival - late
        # Held reports come late in one burst and catch up; a stepped clock stays late.
        if self._late_since is None:
            self._late_since, self._late_least = arrival, delay
        self._late_least = min(self._late_least, delay)
        if arrival - self._late_since > CLOCK_STEP:
            self._offset, self._late_since, self._updated = self._late_least, None, arrival
            return arrival - (delay - self._offset)
        return arrival - late

    def _early(self, late: int, delay: int, arrival: int) -> int:
        if late < -CLOCK_STEP and self._future < FUTURE_READS:
            self._future += 1
            return arrival
        self._offset, self._updated, self._future, self._late_since = delay, arrival, 0, None
        return arrival


class Track:
    """One tag at one door: the bins of the passage that is open, and its level at rest.

    A bin is [index, reads, sum of centi-dBm]; index counts `BIN` on the gateway's monotonic clock less `warp`, the
    time spent at rest, so that a wait in the doorway does not tear the curve apart.
    """

    __slots__ = (
        "bins",
        "duplicates",
        "fast",
        "first",
        "first_reader",
        "identifier",
        "last",
        "last_reader",
        "look",
        "looked",
        "previous",
        "rest_start",
        "resting_since",
        "seen",
        "slow",
        "total",
        "warp",
        "warp_before",
    )

    def __init__(self, identifier: str, moment: int, reader_time: int) -> None:
        self.identifier = identifier
        self.bins: tuple[list[list[int]], list[list[int]]] = ([], [])  # outside, inside
        self.first = self.last = moment
        self.first_reader = self.last_reader = reader_time
        self.previous = (-1, -1)
        self.total = 0
        self.duplicates = 0
        self.warp = 0
        self.fast = [0.0, 0.0]
        self.slow = [0.0, 0.0]
        self.seen = [0, 0]
        self.resting_since: int | None = None
        self.rest_start = 0
        self.warp_before = 0
        self.looked = -1  # reads at the last look
        self.look: object | None = None

    def add(self, zone: int, moment: int, reader_time: int, strength: int, count: int) -> None:
        """Take one read: microseconds monotonic, centi-dBm."""
        if self.previous == (zone, reader_time):
            self.duplicates += 1
            return
        self.previous = (zone, reader_time)
        self.total += count
        if moment > self.last:
            self.last = moment
            self.last_reader = reader_time
        seen = self.seen[zone]
        if seen:
            self.fast[zone] += (strength - self.fast[zone]) * 0.25
            self.slow[zone] += (strength - self.slow[zone]) * (0.01 if seen > 100 else 1.0 / (seen + 1))
        else:
            self.fast[zone] = self.slow[zone] = float(strength)
        self.seen[zone] = seen + 1
        index = (moment - self.warp) // BIN
        bins = self.bins[zone]
        if bins and bins[-1][0] >= index:
            self._late(bins, index, strength * count, count)
        else:
            bins.append([index, count, strength * count])

    @staticmethod
    def _late(bins: list[list[int]], index: int, total: int, count: int) -> None:
        at = len(bins) - 1
        while at >= 0 and bins[at][0] > index:
            at -= 1
        if at >= 0 and bins[at][0] == index:
            bins[at][1] += count
            bins[at][2] += total
        else:
            bins.insert(at + 1, [index, count, total])

    def trim(self, keep: int) -> None:
        """Forget the bins older than `keep` bins before the newest."""
        newest = self.newest()
        for bins in self.bins:
            cut = 0
            while cut < len(bins) and bins[cut][0] < newest - keep:
                cut += 1
            if cut:
                del bins[:cut]

    def strongest(self) -> int:
        """The strongest bin of either zone, centi-dBm."""
        return max(total // count for bins in self.bins for _, count, total in bins)

    def newest(self) -> int:
        """The index of the newest bin."""
        return max((bins[-1][0] for bins in self.bins if bins), default=0)

    def real(self, index: float) -> float:
        """An index of this track in bins of the gateway's clock, the rest put back in."""
        return index + (self.warp if index >= self.rest_start else self.warp_before) // BIN

    def real_bins(self, zone: int) -> list[list[int]]:
        """A zone's bins with indices on the gateway's clock."""
        bins = self.bins[zone]
        if not self.warp:
            return bins
        before, after, start = self.warp_before // BIN, self.warp // BIN, self.rest_start
        return [[index + (after if index >= start else before), count, total] for index, count, total in bins]

    def rested(self) -> tuple[int, int] | None:
        """First bin and number of bins, on the gateway's clock, that the last rest took out; None where none did."""
        if self.warp == self.warp_before:
            return None
        return self.rest_start + self.warp_before // BIN, (self.warp - self.warp_before) // BIN

    def flat(self) -> bool:
        """Whether the last `REST_AFTER` bins show no movement: two-second means of each zone within `REST_SPREAD`."""
        if self.last - self.first < REST_AFTER * BIN:
            return False
        start = self.newest() - REST_AFTER
        for bins in self.bins:
            blocks: dict[int, list[int]] = {}
            for index, count, total in reversed(bins):
                if index <= start:
                    break
                block = blocks.setdefault((index - start - 1) // 20, [0, 0])
                block[0] += count
                block[1] += total
            means = [total / count for count, total in blocks.values() if count >= 3]
            if means and max(means) - min(means) > REST_SPREAD:
                return False
        return True

    def rest(self, now: int) -> None:
        """Begin a rest, or go on with it: the standstill shrinks to its newest `REST_KEPT` bins."""
        if self.resting_since is None:
            self.resting_since = now
            self.rest_start = self.newest() - REST_AFTER
            self.warp_before = self.warp
            self.slow = list(self.fast)
        over = self.newest() - self.rest_start - REST_KEPT
        if over <= 0:
            return
        cut = self.rest_start + over
        for bins in self.bins:
            bins[:] = [b for b in bins if b[0] < self.rest_start] + [
                [b[0] - over, b[1], b[2]] for b in bins if b[0] >= cut
            ]
        self.warp += over * BIN

    def forget_before_rest(self) -> None:
        """Drop what came before the rest: it has lasted too long to belong to one passage."""
        for bins in self.bins:
            bins[:] = [b for b in bins if b[0] >= self.rest_start]

    def left_rest(self) -> bool:
        """Whether the recent level of a zone has left its level at rest."""
        return any(self.seen[zone] >= LEVEL_READS and abs(self.fast[zone] - self.slow[zone]) > WAKE for zone in (0, 1))

    def wake(self) -> None:
        """End the rest; the level at rest starts anew."""
        self.resting_since = None
        self.first = self.last
        self.seen = [0, 0]


class PassageTracker:
    """The tags now at one door. Pure: time comes from the sightings and from `advance`."""

    def __init__(self, config: DoorConfig) -> None:
        self.config = config
        self.tracks: dict[str, Track] = {}
        self.refused = 0
        self._zones = dict.fromkeys(config.outside, 0) | dict.fromkeys(config.inside, 1)
        self._silence = int(config.silence * 1_000_000)
        self._longest = int(config.longest * 1_000_000) // BIN

    def observe(self, sighting: Sighting, moment: int) -> Track | None:
        """Take one sighting at `moment` (monotonic microseconds); returns a passage that a silence had ended."""
        if sighting.strength is None:
            return None
        track = self.tracks.get(sighting.identifier)
        ended: Track | None = None
        if track is not None and moment - track.last > self.patience(track):
            ended, track = track, None
        if track is None:
            if len(self.tracks) >= TRACKS and ended is None:
                self.refused += 1
                return None
            track = self.tracks[sighting.identifier] = Track(sighting.identifier, moment, sighting.reader_time)
        zone = self._zones[sighting.read_point]
        track.add(zone, moment, sighting.reader_time, sighting.strength, sighting.count)
        return ended

    def patience(self, track: Track) -> int:
        """Microseconds of silence that end a passage: the configured ones, more where the tag is read rarely."""
        if track.total < 2:
            return self._silence
        return max(self._silence, min(4 * (track.last - track.first) // track.total, LONGEST_SILENCE))

    def settle(self, track: Track, now: int) -> bool:
        """Bookkeeping of one open passage; returns True where it moves and is worth a look."""
        if track.resting_since is None:
            track.trim(self._longest)
            if not track.flat():
                return True
            track.rest(now)
            return False
        if track.left_rest():
            track.wake()
            return True
        track.rest(now)
        if now - track.resting_since > int(self.config.longest_wait * 1_000_000):
            track.forget_before_rest()
        return False
