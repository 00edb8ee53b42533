"""The parts of the dock-door rule: reader clocks, grouping, stray ledger."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.observations.pallets import groups
from gateway.observations.passages import ReaderClock
from gateway.observations.strays import StrayLedger

SECOND = 1_000_000


def test_a_reader_clock_is_brought_to_ours_by_the_least_delay() -> None:
    clock = ReaderClock()
    clock.monotonic(-7 * SECOND, 50_000)  # 50 ms on the way
    clock.monotonic(-6 * SECOND, SECOND + 10_000)  # 10 ms: the least
    assert abs(clock.monotonic(-5 * SECOND, 2 * SECOND + 400_000) - (2 * SECOND + 10_000)) < 1_000


def test_reports_held_by_the_reader_keep_their_own_times() -> None:
    clock = ReaderClock()
    for second in range(10):
        clock.monotonic(second * SECOND, second * SECOND + 10_000)
    moments = [clock.monotonic(10 * SECOND + k * 100_000, 20 * SECOND + k) for k in range(50)]
    assert abs(moments[0] - 10 * SECOND) < 50_000
    assert abs(moments[-1] - moments[0] - 4_900_000) < 50_000


def test_a_clock_that_stepped_back_is_believed_after_a_second() -> None:
    clock = ReaderClock()
    clock.monotonic(100 * SECOND, 10_000)
    for k in range(30):
        moment = clock.monotonic(k * 100_000, SECOND + k * 100_000)
    assert abs(moment - (SECOND + 29 * 100_000)) < 200_000


def test_a_clock_that_stepped_forward_never_puts_a_read_in_the_future() -> None:
    clock = ReaderClock()
    clock.monotonic(0, 10_000)
    for k in range(30):
        arrival = SECOND + k * 100_000
        assert clock.monotonic(50 * SECOND + k * 100_000, arrival) <= arrival


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 1000)), max_size=40))
def test_grouping_puts_every_tag_in_one_group(peaks: list[tuple[float, float]]) -> None:
    assert sorted(index for group in groups(peaks) for index in group) == list(range(len(peaks)))


def test_two_pallets_nose_to_tail_are_two_groups() -> None:
    first = [(100.0 + k, 120.0 + k) for k in range(-3, 4)]
    second = [(120.0 + k, 140.0 + k) for k in range(-3, 4)]
    assert groups(first + second) == [list(range(7)), list(range(7, 14))]


def test_one_in_and_one_out_at_once_are_two_groups() -> None:
    inward = [(100.0 + k, 120.0 + k) for k in range(-3, 4)]
    outward = [(120.0 + k, 100.0 + k) for k in range(-3, 4)]
    assert sorted(groups(inward + outward)) == [list(range(7)), list(range(7, 14))]


def test_more_than_three_windows_in_ten_minutes_make_a_tag_static_until_it_crosses() -> None:
    strays = StrayLedger()
    for window in range(4):
        assert not strays.static("d", "A")
        strays.note("d", "A", 10, window * 60 * SECOND, window * 60 * SECOND + SECOND, -5000, "no movement")
    assert strays.static("d", "A")
    (stray,) = strays.all()
    assert (stray.windows, stray.reads) == (4, 40)
    strays.crossed("A", ("d",))
    assert strays.all() == []
    assert not strays.static("d", "A")


def test_windows_far_apart_do_not_make_a_tag_static() -> None:
    strays = StrayLedger()
    for window in range(6):
        strays.note("d", "A", 10, window * 900 * SECOND, window * 900 * SECOND + SECOND, -5000, "no movement")
    assert not strays.static("d", "A")


def test_the_stray_ledger_is_bounded_and_counts_what_made_room() -> None:
    strays = StrayLedger(limit=3)
    for number in range(5):
        strays.note("d", f"T{number}", 1, 0, number, -5000, "no movement")
    assert [stray.identifier for stray in strays.all()] == ["T2", "T3", "T4"]
    assert strays.dropped == 2
    assert strays.noted == 5
