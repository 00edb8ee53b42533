"""Where loads are, and the truth about what crossed."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.simulation.scenario import Course, Direction, Scene, pallet, strays_behind

CASES = [f"{number:024X}" for number in range(12)]


def scene() -> Scene:
    return Scene({"1": 0.0, "2": 3.5}, Random(1))


@pytest.mark.parametrize(
    ("course", "expected"),
    [
        (Course.IN, [Direction.IN]),
        (Course.OUT, [Direction.OUT]),
        (Course.WAIT, [Direction.IN]),
        (Course.TURN_BACK, []),
        (Course.PASS_BY, []),
        (Course.STAGE, []),
    ],
)
def test_only_what_ends_on_the_other_side_crossed(course: Course, expected: list[Direction]) -> None:
    here = scene()
    crossings = here.move(pallet(CASES, "F" * 24), "2", course, 1_000_000)
    assert [crossing.direction for crossing in crossings] == expected
    assert here.truth == crossings
    for crossing in crossings:
        assert crossing.door == "2"
        assert set(crossing.epcs) == {*CASES, "F" * 24}


def test_the_crossing_is_when_the_middle_is_in_the_door() -> None:
    here = scene()
    crossing = here.send(pallet(CASES), "1", Direction.IN, 5_000_000, speed=1.5)
    ys = [tag.position[1] for tag in here.tags_at(crossing.at)]
    assert abs(sum(ys) / len(ys)) < 0.01
    assert crossing.at == 5_000_000 + 6_000_000  # 9 m at 1.5 m/s
    before, after = here.tags_at(crossing.at - 1_000_000), here.tags_at(crossing.at + 1_000_000)
    assert all(tag.position[1] < 0 for tag in before)
    assert all(tag.position[1] > 0 for tag in after)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.sampled_from(Course), st.floats(0.3, 3.0), st.integers(0, 60_000_000))
def test_positions_are_a_function_of_time_and_never_jump(course: Course, speed: float, at: int) -> None:
    here = scene()
    here.move(pallet(CASES), "1", course, 0, speed)
    now, soon = here.tags_at(at), here.tags_at(at + 10_000)
    assert now == here.tags_at(at)
    if now and soon:
        moved = max(abs(a - b) for one, two in zip(now, soon, strict=True) for a, b in zip(one[1], two[1], strict=True))
        assert moved <= speed * 0.0101


def test_loads_leave_the_scene_and_its_memory() -> None:
    here = scene()
    for number in range(3_000):
        here.forget(number * 10_000_000)
        here.send(pallet(CASES[:1]), "1", Direction.IN, number * 10_000_000)
    assert len(here.tags_at(29_995_000_000)) == 1
    assert len(here.truth) == 3_000


def test_a_full_scene_and_bad_orders_are_refused() -> None:
    here = scene()
    with pytest.raises(ValueError, match=r"no door '9'; the doors are 1, 2"):
        here.send((), "9", Direction.IN, 0)
    with pytest.raises(ValueError, match="speed"):
        here.send((), "1", Direction.IN, 0, speed=0.0)
    for _ in range(500):
        here.send((), "1", Direction.IN, 0)
    with pytest.raises(ValueError, match="500 movements"):
        here.send((), "1", Direction.IN, 0)


def test_strays_stand_inside_near_the_doors() -> None:
    strays = strays_behind({"1": 0.0, "2": 3.5}, 12, Random(3), CASES)
    assert [tag.epc for tag in strays] == CASES
    assert all(3.0 <= tag.position[1] <= 7.0 and -3.0 <= tag.position[0] <= 6.5 for tag in strays)
