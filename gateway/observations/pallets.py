"""Tags that move together: a pallet is found by when its tags peak in the two zones."""

from __future__ import annotations

from collections.abc import Sequence

#: Bins by which a tag's peaks may differ from its pallet's: 0.6 s, and that share of the time between the two peaks,
#: because the cases of a slow pallet pass further apart in time.
APART, APART_SHARE = 6.0, 0.45


def groups(peaks: Sequence[tuple[float, float]]) -> list[list[int]]:
    """Split tags, given as (outside, inside) peak times in bins, into groups; indices, each in one group.

    Greedy with medians: sorted by the middle of the two peaks, a tag joins the group whose median peaks are nearest and
    within reach, then every tag is assigned once more to the settled medians.
    """
    order = sorted(range(len(peaks)), key=lambda i: (peaks[i][0] + peaks[i][1], i))
    found: list[list[int]] = []
    for index in order:
        near = _nearest(peaks[index], found, peaks)
        if near is None:
            found.append([index])
        else:
            found[near].append(index)
    settled: list[list[int]] = [[] for _ in found]
    rest: list[list[int]] = []
    for index in order:
        near = _nearest(peaks[index], found, peaks)
        if near is None:
            rest.append([index])
        else:
            settled[near].append(index)
    return [sorted(group) for group in settled if group] + rest


def _nearest(peak: tuple[float, float], found: list[list[int]], peaks: Sequence[tuple[float, float]]) -> int | None:
    best, nearest = 1.0, None
    for number, group in enumerate(found):
        out, into = median(sorted(peaks[i][0] for i in group)), median(sorted(peaks[i][1] for i in group))
        reach = max(APART, APART_SHARE * abs(into - out))
        distance = max(abs(peak[0] - out), abs(peak[1] - into)) / reach
        if distance <= best:
            best, nearest = distance, number
    return nearest


def median(ordered: Sequence[float]) -> float:
    """The middle of values in order; the lower of two."""
    return ordered[(len(ordered) - 1) // 2]
