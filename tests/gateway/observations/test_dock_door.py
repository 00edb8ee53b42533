"""What a user of a dock door relies on, on streams drawn by hand: a source at known positions, no radio model."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.observations.crossing import RULE, Crossing
from gateway.observations.doors import DoorRule
from gateway.observations.portal import DoorConfig, Expectation
from gateway.observations.sighting import Sighting

DOOR = DoorConfig("Door 1", "dock 1", inside=("r/1",), outside=("r/0",))
#: A wall clock far from the monotonic one: nothing may depend on the two being alike.
EPOCH = 1_760_000_000_000_000


def level(y: float, zone: int) -> float:
    """dBm of a tag y metres inside the wall at the antenna 1 m outside (0) or inside (1)."""
    antenna = 1.0 if zone else -1.0
    return -44.0 - 30.0 * math.log10(math.hypot(1.8, y - antenna) / 1.8) - 4.0 * max(0.0, -(y * antenna))


def drive(
    tags: list[str],
    where: list[tuple[float, float]],
    seed: int = 1,
    rate: float = 8.0,
    device: tuple[str, str] = ("r", "r"),
    points: tuple[str, str] = ("r/0", "r/1"),
    skew: tuple[int, int] = (0, 0),
) -> list[Sighting]:
    """Sightings of tags that go along (second, metre) waypoints; in order of arrival."""
    rng = random.Random(seed)
    out: list[Sighting] = []
    for tag in tags:
        ahead, gain = rng.uniform(-0.5, 0.5), rng.gauss(0, 3)
        for zone in (0, 1):
            now = where[0][0]
            while now < where[-1][0]:
                now += rng.expovariate(rate)
                y = ahead + place(where, now)
                strength = level(y, zone) + gain + rng.gauss(0, 2)
                if strength > -68:
                    arrival = int(now * 1e6) + rng.randrange(10_000, 60_000)
                    out.append(
                        Sighting(
                            device=device[zone],
                            read_point=points[zone],
                            identifier=tag,
                            reader_time=EPOCH + int(now * 1e6) + skew[zone],
                            monotonic=arrival,
                            strength=round(strength) * 100,
                        )
                    )
    out.sort(key=lambda s: s.monotonic)
    return out


def place(where: list[tuple[float, float]], now: float) -> float:
    for (t0, y0), (t1, y1) in pairwise(where):
        if now <= t1:
            return y0 + (y1 - y0) * (now - t0) / (t1 - t0)
    return where[-1][1]


def run(rule: DoorRule, sightings: list[Sighting], until: float = 0.0) -> list[Crossing]:
    """Feed sightings and let time pass every 100 ms, as the pipeline does."""
    out: list[Crossing] = []
    tick = sightings[0].monotonic if sightings else 0
    batch: list[Sighting] = []
    for sighting in sightings:
        while sighting.monotonic >= tick + 100_000:
            tick += 100_000
            rule.observe(batch)
            batch = []
            out += rule.advance(tick)
        batch.append(sighting)
    rule.observe(batch)
    for _ in range(80):
        tick += 100_000
        out += rule.advance(tick)
    return out


CASES = [f"30AA{n:020X}" for n in range(12)]
IN = [(10.0, -6.0), (18.0, 6.0)]
OUT = [(10.0, 6.0), (18.0, -6.0)]


def names(crossings: list[Crossing]) -> list[str]:
    return sorted(member.identifier for c in crossings for member in c.members)


@pytest.mark.parametrize(("way", "direction"), [(IN, "in"), (OUT, "out")])
def test_a_pallet_is_one_crossing_of_its_direction(way: list[tuple[float, float]], direction: str) -> None:
    crossings = run(DoorRule([DOOR]), drive(CASES, way))
    assert {c.direction for c in crossings} == {direction}
    assert names(crossings) == CASES
    assert len({c.pallet for c in crossings}) == 1
    first = crossings[0]
    assert (first.door, first.place, first.evidence.rule) == ("Door 1", "dock 1", RULE)
    assert first.evidence.agreeing == first.evidence.voting >= 3
    assert all(500 <= m.confidence <= 999 for m in first.members)
    assert first.first < EPOCH + 14_000_000 < first.last


def test_the_decision_comes_within_two_seconds_of_the_goods_being_clear() -> None:
    crossings = run(DoorRule([DOOR]), drive(CASES, IN))
    clear = 10.0 + 8.0 * (6.0 + 2.5) / 12.0  # 2.5 m beyond the wall
    assert max(c.decided for c in crossings) < (clear + 2.0) * 1e6


def test_a_carton_alone_crosses_too() -> None:
    crossings = run(DoorRule([DOOR]), drive(CASES[:1], IN, rate=15))
    assert names(crossings) == CASES[:1]
    assert crossings[0].direction == "in"


@pytest.mark.parametrize("depth", [-1.0, -0.3, 0.3])
def test_goods_that_turn_back_do_not_cross(depth: float) -> None:
    way = [(10.0, -6.0), (14.0, depth), (16.0, depth), (21.0, -6.0)]
    assert run(DoorRule([DOOR]), drive(CASES, way)) == []


def test_goods_at_rest_do_not_cross_and_are_in_the_stray_ledger() -> None:
    rule = DoorRule([DOOR])
    assert run(rule, drive(CASES[:6], [(10.0, 2.5), (40.0, 2.5)])) == []
    strays = {stray.identifier: stray for stray in rule.strays.all()}
    assert set(CASES[:6]) == set(strays)
    assert all(stray.static for stray in strays.values())


def test_a_wait_in_the_doorway_is_still_one_crossing() -> None:
    way = [(10.0, -6.0), (14.0, -0.2), (30.0, -0.2), (34.0, 6.0)]
    crossings = run(DoorRule([DOOR]), drive(CASES, way))
    assert {c.direction for c in crossings} == {"in"}
    assert len(names(crossings)) == len(set(names(crossings))) >= 10


def test_a_staged_pallet_that_is_shipped_goes_out_once() -> None:
    way = [(10.0, 2.5), (40.0, 2.5), (48.0, -6.0)]
    crossings = run(DoorRule([DOOR]), drive(CASES, way))
    assert {c.direction for c in crossings} == {"out"}
    assert len(names(crossings)) == len(set(names(crossings))) >= 10


def test_a_return_is_a_second_crossing() -> None:
    way = [(10.0, -6.0), (18.0, 6.0), (22.0, 6.0), (30.0, -6.0)]
    crossings = run(DoorRule([DOOR]), drive(CASES, way))
    for direction in ("in", "out"):
        assert names([c for c in crossings if c.direction == direction]) == CASES


def test_two_readers_whose_clocks_differ_by_seconds_agree() -> None:
    sightings = drive(CASES, IN, device=("r0", "r1"), skew=(4_000_000, -3_000_000))
    crossings = run(DoorRule([DOOR]), sightings)
    assert {c.direction for c in crossings} == {"in"}
    assert len(names(crossings)) >= 11


def test_a_tag_seen_at_two_doors_is_decided_once_at_the_nearer_one() -> None:
    second = DoorConfig("Door 2", "dock 2", inside=("s/1",), outside=("s/0",))
    near = drive(CASES, IN)
    far = [
        Sighting("s", s.read_point.replace("r", "s"), s.identifier, s.reader_time, s.monotonic, s.strength - 900)
        for s in drive(CASES, IN, seed=2)
        if s.strength is not None and s.strength > -5900
    ]
    both = sorted(near + far, key=lambda s: s.monotonic)
    for doors in ([DOOR, second], [second, DOOR]):
        crossings = run(DoorRule(doors), both)
        assert {c.door for c in crossings} == {"Door 1"}
        assert names(crossings) == CASES


@pytest.mark.parametrize("prior", ["expected-in", "expected-out", "in-house", "shipped"])
def test_a_confident_crossing_posts_whatever_the_ledger_expects(prior: Expectation) -> None:
    crossings = run(DoorRule([DOOR], prior=lambda _: prior), drive(CASES, OUT))
    assert {c.direction for c in crossings} == {"out"}
    assert len(names(crossings)) >= 11


def test_doubled_and_swapped_reports_change_nothing_but_noise() -> None:
    rng = random.Random(5)
    sightings = drive(CASES, IN)
    noisy = [s for s in sightings for _ in range(1 + (rng.random() < 0.1))]
    late = [
        Sighting(s.device, s.read_point, s.identifier, s.reader_time, s.monotonic + rng.randrange(400_000), s.strength)
        if rng.random() < 0.1
        else s
        for s in noisy
    ]
    late.sort(key=lambda s: s.monotonic)
    crossings = run(DoorRule([DOOR]), late)
    assert {c.direction for c in crossings} == {"in"}
    assert names(crossings) == sorted(set(names(crossings)))
    assert len(names(crossings)) >= 11


def test_the_same_sightings_give_the_same_crossings() -> None:
    sightings = drive(CASES, IN)
    assert run(DoorRule([DOOR]), sightings) == run(DoorRule([DOOR]), sightings)


def test_open_passages_are_visible_with_their_evidence() -> None:
    rule = DoorRule([DOOR])
    rule.observe([s for s in drive(CASES[:2], IN) if s.monotonic < 14_000_000])
    live = rule.live()
    assert sorted(passage.identifier for passage in live) == CASES[:2]
    assert all(passage.reads[0] > 3 and passage.strongest < 0 for passage in live)


def test_a_tag_that_rests_for_an_hour_costs_constant_memory() -> None:
    rule = DoorRule([DOOR])
    rng = random.Random(3)
    for second in range(3600):
        rule.observe(
            [
                Sighting(
                    "r",
                    f"r/{zone}",
                    CASES[0],
                    EPOCH + second * 1_000_000 + k * 150_000,
                    second * 1_000_000 + k * 150_000 + 20_000,
                    round(rng.gauss(-5500, 100)),
                )
                for k in range(4)
                for zone in (0, 1)
            ]
        )
        assert rule.advance(second * 1_000_000 + 700_000) == []
    (passage,) = rule.live()
    assert passage.resting
    assert sum(passage.reads) < 1000


def test_a_read_point_of_no_door_is_counted() -> None:
    rule = DoorRule([DOOR])
    rule.observe([Sighting("x", "x/9", CASES[0], 0, 0, -5000)])
    assert rule.unknown_points == 1


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    st.lists(
        st.builds(
            Sighting,
            device=st.sampled_from(["r", "q"]),
            read_point=st.sampled_from(["r/0", "r/1"]),
            identifier=st.sampled_from(CASES[:3]),
            reader_time=st.integers(0, 10**8),
            monotonic=st.integers(0, 10**8),
            strength=st.one_of(st.none(), st.integers(-9000, -2000)),
            count=st.integers(1, 5),
        ),
        max_size=200,
    )
)
def test_any_sightings_at_all_are_taken(sightings: list[Sighting]) -> None:
    sightings.sort(key=lambda s: s.monotonic)
    crossings = run(DoorRule([DOOR]), sightings)
    for crossing in crossings:
        assert crossing.first <= crossing.last
        assert crossing.members
