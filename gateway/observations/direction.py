"""Which way goods went: what one tag's strength over time says, and what a group's pooled curve says.

A tag alone is a noisy witness: multipath moves its strength by several dB within a hand's breadth. So the evidence has
two parts that must agree: each tag's own peaks (a quadratic fit against a constant, and the order of its
power-weighted peak times), and the path through the door of the pooled curve of all tags that move together (a
three-state Viterbi path against the best path that stays on one side).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from gateway.observations.passages import Track

#: Centi-dB: fading of one tag.
TAG_SIGMA = 450.0
#: How far the pooled difference strays from -1, 0, +1 times the contrast, whatever the number of tags.
PATH_SIGMA = 0.4
#: Centi-dB between which a door's contrast is believed: below, the zones do not differ; above, 15 dB say it all.
LEAST_CONTRAST, MOST_CONTRAST = 400.0, 1500.0
#: Centi-dB of loss that stands for a zone without reads: the usual way from the peak to the edge of the field.
LOST = 2000.0
#: Centi-dB below both peaks beyond which goods are too far from the door to say on which side they are: only the
#: luckiest reads are left of both zones.
NEAR = 1300.0
#: Nats against goods that came from beyond, went through the door and back: rarer than a plain crossing.
EXCURSION = 4.0
#: Costs of a step on and of a step back, nats: goods that drive through a door seldom turn.
FORWARD_COST, BACK_COST = 1.0, 3.0
#: Worst squared residual that one reading may cost, nats: one reflection must not decide.
WORST = 4.5
#: Variance of one report's rounding and noise, centi-dB squared: keeps a perfect fit finite.
ROUNDING = 2500.0
#: Steps by which a tag may be ahead of its group or behind it: a step is a tenth of the way between the antennas.
AHEAD = (-1, 1, -2, 2, -3, 3)
#: Nats beyond which a better lag is not worth the search.
CERTAIN = 15.0
_UNREAD = (None, None)
_NEVER = -1e9
#: Step, reads and mean loss outside, reads and mean loss inside; pooled over tags.
Row = tuple[int, int, float, int, float]


class Look(msgspec.Struct, frozen=True):
    """What one tag's own curve says. Strengths in centi-dBm, peak times (outside, inside) in bins of the
    gateway's clock.

    `moving`: log likelihood ratio of a rise and fall in both zones against constant levels.
    """

    reads: tuple[int, int]
    strongest: tuple[int, int]
    moving: float
    concave: bool
    peaks: tuple[float, float]


class Path(msgspec.Struct, frozen=True):
    """What the pooled curve of tags that move together says. Losses in centi-dB, moments in bins of the gateway's clock.

    - `crossing`: log likelihood ratio of the best path through the door against the best one that is not.
    - `contrast`: how far each zone is below its peak while the other has its own.
    - `arrived`: how far the near zone was below its peak at the beginning: goods that were there all along did not arrive.
    - `left`: how far the far zone has fallen from its peak at the end.
    - `returned`: how far the near zone has risen since the far zone's peak: goods that turn back come nearer to it.
    - `step`: bins per step; `rest`: first bin and number of bins of a common wait that was taken out.
    - `template`: per step the loss in the outside and the inside zone, None where no tag was read.
    """

    direction: str
    crossing: float
    contrast: float
    peaks: tuple[float, float]
    crossed: float
    arrived: float
    left: float
    returned: float
    step: int
    rest: tuple[int, int] | None
    template: dict[int, tuple[float | None, float | None]]


def look(track: Track) -> Look | None:
    """What a tag's passage says as it stands; None where a zone has no read."""
    outside, inside = track.bins
    if not outside or not inside:
        return None
    strongest = (_strongest(outside), _strongest(inside))
    fit_out, fit_in = _rise_and_fall(outside), _rise_and_fall(inside)
    return Look(
        reads=(sum(b[1] for b in outside), sum(b[1] for b in inside)),
        strongest=strongest,
        moving=fit_out[0] + fit_in[0],
        concave=fit_out[1] and fit_in[1],
        peaks=(track.real(_peak(outside, strongest[0])), track.real(_peak(inside, strongest[1]))),
    )


def path(tracks: Sequence[Track], looks: Sequence[Look]) -> Path:
    """The path of tags that move together.

    The pooled difference of the two zones' losses, in units of the door's own contrast, is -1 outside, 0 in the door,
    +1 inside; a three-state Viterbi path through it crosses or stays.
    """
    rest = common_rest(tracks)
    apart = sorted(abs(shorten(seen.peaks[1], rest) - shorten(seen.peaks[0], rest)) for seen in looks)
    step = min(max(round(apart[len(apart) // 2] / 10), 2), 10)
    rows = _pool(tracks, looks, step, rest)
    peaks = _pooled_peak(rows, 0), _pooled_peak(rows, 1)
    contrast = (_loss_at(rows, 1, peaks[0]) + _loss_at(rows, 0, peaks[1])) / 2
    inward = peaks[1] > peaks[0]
    score, other, crossed = _cross(rows, contrast, inward)
    gone = 1 if inward else 0
    now_near, now_far = _recent(rows, 1 - gone, step), _recent(rows, gone, step)
    return Path(
        direction="in" if inward else "out",
        crossing=score - other,
        contrast=contrast,
        peaks=(_lengthen(peaks[0] * step, rest), _lengthen(peaks[1] * step, rest)),
        crossed=_lengthen(crossed * step, rest),
        rest=rest,
        arrived=_recent(rows[::-1], 1 - gone, step),
        left=now_far,
        returned=_loss_at(rows, 1 - gone, peaks[gone]) - now_near,
        step=step,
        template={key: (out if n else None, into if m else None) for key, n, out, m, into in rows},
    )


def common_rest(tracks: Sequence[Track]) -> tuple[int, int] | None:
    """The wait that these tags have in common, as `Track.rested`; the medians of those that rested."""
    rests = [rest for track in tracks if (rest := track.rested()) is not None]
    if 2 * len(rests) < len(tracks) or not rests:
        return None
    middle = len(rests) // 2
    return sorted(start for start, _ in rests)[middle], sorted(length for _, length in rests)[middle]


def shorten(index: float, rest: tuple[int, int] | None) -> float:
    """A moment in bins with a common wait taken out, so that what lies before and after it is close together."""
    if rest is None or index < rest[0]:
        return index
    return max(float(rest[0]), index - rest[1])


def _lengthen(index: float, rest: tuple[int, int] | None) -> float:
    return index if rest is None or index < rest[0] else index + rest[1]


def _pool(tracks: Sequence[Track], looks: Sequence[Look], step: int, rest: tuple[int, int] | None) -> list[Row]:
    steps: dict[int, list[float]] = {}
    for track, seen in zip(tracks, looks, strict=True):
        for zone in (0, 1):
            top = seen.strongest[zone]
            for index, count, total in track.real_bins(zone):
                key = int(shorten(index, rest)) // step
                pooled = steps.get(key)
                if pooled is None:
                    pooled = steps[key] = [0.0, 0.0, 0.0, 0.0]
                pooled[2 * zone] += 1
                pooled[2 * zone + 1] += top - total / count
    return [
        (key, int(n), out / n if n else 0.0, int(m), into / m if m else 0.0)
        for key, (n, out, m, into) in sorted(steps.items())
    ]


def _pooled_peak(rows: list[Row], zone: int) -> float:
    """The step of a zone's least loss, from three neighbours; steps with few reads do not compete."""
    at = 1 + 2 * zone
    most = max(row[at] for row in rows)
    best, peak = 1e9, float(rows[0][0])
    for number, row in enumerate(rows):
        near = [r for r in rows[max(number - 1, 0) : number + 2] if abs(r[0] - row[0]) <= 1 and r[at]]
        reads = sum(r[at] for r in near)
        if reads * 4 < most or not row[at]:
            continue
        loss = sum(r[at] * r[at + 1] for r in near) / reads
        if loss < best:
            best, peak = loss, sum(r[0] * r[at] for r in near) / reads
    return peak


def _loss_at(rows: list[Row], zone: int, step: float) -> float:
    """A zone's pooled loss around a step: of the nearest steps with reads; what is not read there counts as lost."""
    at = 1 + 2 * zone
    near = [row for row in rows if abs(row[0] - step) <= 1.5 and row[at]]
    reads = sum(row[at] for row in near)
    return sum(row[at] * row[at + 1] for row in near) / reads if reads else LOST


def _recent(rows: list[Row], zone: int, step: int) -> float:
    """A zone's pooled loss over the last 0.8 s of rows (the first, of rows reversed); lost where it has no read there."""
    at = 1 + 2 * zone
    tail = [row for row in rows if abs(row[0] - rows[-1][0]) < max(8 // step, 2) and row[at]]
    reads = sum(row[at] for row in tail)
    return sum(row[at] * row[at + 1] for row in tail) / reads if reads else LOST


def _cross(rows: list[Row], contrast: float, inward: bool) -> tuple[float, float, float]:
    """Best log likelihood of a path from one side to the other, of one that does not, and the step of the crossing."""
    scale = min(max(contrast, LEAST_CONTRAST), MOST_CONTRAST)
    sign = 1.0 if inward else -1.0
    # Paths that begin on the near side and may go anywhere; that never come beyond the door; that begin beyond it and
    # come back there; that never see the near side.
    near, short, back, far = [0.0, _NEVER, _NEVER], [0.0, 0.0, _NEVER], [_NEVER, _NEVER, 0.0], [_NEVER, 0.0, 0.0]
    crossed, last = 0.0, rows[0][0]
    for key, n, out, m, into in rows:
        if not n:
            n, out = 1, max(LOST, into)
        elif not m:
            m, into = 1, max(LOST, out)
        if min(out, into) > NEAR:
            continue
        here = sign * (out - into) / scale
        noise = 2 * (PATH_SIGMA**2 + TAG_SIGMA**2 * (1 / n + 1 / m) / (scale * scale))
        costs = (
            min((here + 1) * (here + 1) / noise if here > -1 else 0.0, WORST),
            min(here * here / noise, WORST),
            min((here - 1) * (here - 1) / noise if here < 1 else 0.0, WORST),
        )
        for _ in range(min(max(key - last, 1), 2)):
            if near[1] - FORWARD_COST > near[2]:
                crossed = float(key)
            near, back = _moved(near), _moved(back)
            short, far = [*_moved(short)[:2], _NEVER], [_NEVER, *_moved(far)[1:]]
        last = key
        for scores in (near, short, back, far):
            for state in (0, 1, 2):
                scores[state] -= costs[state]
    return near[2], max(near[0], short[0], short[1], back[2] - EXCURSION, far[1], far[2]), crossed


def _moved(score: list[float]) -> list[float]:
    a, b, c = score
    return [max(a, b - BACK_COST), max(b, a - FORWARD_COST, c - BACK_COST), max(c, b - FORWARD_COST)]


def companion(track: Track, group: Path) -> float:
    """Log likelihood ratio of a tag following its group's curve against resting; the tag's own level is free in both.

    n/2 ln(RSS constant / RSS curve) summed over the zones, n in steps: positive where the tag rises and falls with the
    group. The tag may be ahead of the group's middle or behind it by the length of a pallet, alike in both zones.
    """
    zones: list[list[tuple[int, float]]] = []
    for zone in (0, 1):
        levels: dict[int, list[int]] = {}
        for index, count, total in track.real_bins(zone):
            level = levels.setdefault(int(shorten(index, group.rest)) // group.step, [0, 0])
            level[0] += count
            level[1] += total
        zones.append([(key, total / count) for key, (count, total) in levels.items()])
    best = _follows(zones, group.template, 0)
    for lag in AHEAD:
        if best > CERTAIN:
            break
        best = max(best, _follows(zones, group.template, lag))
    return best


def _follows(
    zones: list[list[tuple[int, float]]], template: dict[int, tuple[float | None, float | None]], lag: int
) -> float:
    ratio = 0.0
    for zone, levels in enumerate(zones):
        points = [
            (level, -loss) for key, level in levels if (loss := template.get(key + lag, _UNREAD)[zone]) is not None
        ]
        n = len(points)
        if n < 2:
            continue
        mean = sum(y for y, _ in points) / n
        shift = sum(y - t for y, t in points) / n
        rss_constant = sum((y - mean) ** 2 for y, _ in points)
        rss_curve = sum((y - t - shift) ** 2 for y, t in points)
        floor = n * ROUNDING
        ratio += n / 2 * math.log((rss_constant + floor) / (rss_curve + floor))
    return ratio


def _strongest(bins: list[list[int]]) -> int:
    means = sorted((total // count for _, count, total in bins), reverse=True)[:3]
    return sum(means) // len(means)


def _peak(bins: list[list[int]], top: int) -> float:
    """The bin index of the peak, weighted by power squared, so that a long tail at rest moves it little."""
    weight = moment = 0.0
    for index, count, total in bins:
        w = count * 10.0 ** ((total / count - top) / 500.0)
        weight += w
        moment += w * index
    return moment / weight


def _rise_and_fall(bins: list[list[int]]) -> tuple[float, bool]:
    """n/2 ln(RSS constant / RSS quadratic) of one zone, and whether the quadratic is concave.

    Weighted least squares on bin means; closed form of the normal equations, time centred for conditioning.
    """
    if len(bins) < 4:
        return 0.0, False
    n = sum(b[1] for b in bins)
    middle = sum(b[0] * b[1] for b in bins) / n
    mean = sum(b[2] for b in bins) / n
    s2 = s3 = s4 = y1 = y2 = yy = 0.0
    for index, count, total in bins:
        t = (index - middle) / 10.0
        y = total / count - mean
        tt = t * t
        s2 += count * tt
        s3 += count * tt * t
        s4 += count * tt * tt
        y1 += count * t * y
        y2 += count * tt * y
        yy += count * y * y
    # Centred: sum t = sum y = 0, so the constant of the fit is -curve * s2 / n.
    spread = s4 - s2 * s2 / n
    determinant = s2 * spread - s3 * s3
    if determinant <= 1e-6:
        return 0.0, False
    slope = (y1 * spread - y2 * s3) / determinant
    curve = (s2 * y2 - s3 * y1) / determinant
    rest = max(yy - slope * y1 - curve * y2, 0.0)
    floor = n * ROUNDING
    return len(bins) / 2 * math.log((yy + floor) / (rest + floor)), curve < 0
