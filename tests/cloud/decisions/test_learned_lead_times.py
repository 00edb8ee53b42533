"""Lead times from receipts: by hand, against the truth they were drawn from, and with orders that have not come."""

from __future__ import annotations

import random

import pytest

from cloud.decisions.leadtime import PROMISE_RECEIPTS, Learned, Promised, Receipts, credible, learn


def test_one_item_by_hand() -> None:
    """Four receipts beside a promise that counts as four: half way for the supplier, and half way again for the item."""
    assert PROMISE_RECEIPTS == 4.0
    found = learn({"nut": Receipts((14.0, 14.0, 14.0, 14.0))}, {"nut": Promised(7.0, 1.0)})
    # the supplier: (4 * 1 + 4 * 2) / 8 = 1.5; the item: (4 * 1.5 + 4 * 2) / 8 = 1.75, times 7 days
    assert found == {"nut": Learned(12.2, pytest.approx(1.4, abs=0.7), 4, 0)}
    assert credible(1.0, 4.0, [2.0, 2.0]) == pytest.approx(8 / 6)


def test_nothing_seen_teaches_nothing() -> None:
    assert learn({}, {"nut": Promised(7.0, 1.0)}) == {}
    assert learn({"nut": Receipts((), (3.0,))}, {"nut": Promised(7.0, 1.0)}) == {}  # still within its time
    assert learn({"nut": Receipts((3.0,))}, {}) == {}


def test_many_receipts_have_the_last_word_and_other_items_speak_for_new_ones() -> None:
    promised = {"old": Promised(10.0, 2.0), "new": Promised(20.0, 2.0)}
    days = (13.0, 15.0, 17.0, 15.0) * 25
    found = learn({"old": Receipts(days), "new": Receipts((30.0,))}, promised)
    assert found["old"].mean == pytest.approx(15.0, abs=0.1)
    assert found["old"].sd == pytest.approx(1.4, abs=0.2)
    assert found["new"].mean == pytest.approx(
        30.0, abs=0.6
    )  # one and a half times the promise, as the supplier's others


def test_an_overdue_order_counts_as_its_age() -> None:
    promised = {"nut": Promised(7.0, 1.0)}
    seen = Receipts((7.0,) * 5)
    before = learn({"nut": seen}, promised)["nut"]
    late = learn({"nut": Receipts(seen.days, (30.0,))}, promised)["nut"]
    assert before.mean == 7.0
    assert late.mean > before.mean + 1
    assert late.sd > before.sd
    assert (late.receipts, late.overdue) == (5, 1)
    assert learn({"nut": Receipts(seen.days, (5.0,))}, promised)["nut"] == before


def test_a_mistyped_date_is_no_lead_time() -> None:
    found = learn({"nut": Receipts((7.0,) * 9 + (3_000.0,))}, {"nut": Promised(7.0, 1.0)})
    assert found["nut"].mean < 11


@pytest.mark.parametrize("seed", range(3))
def test_what_is_learned_is_nearer_the_truth_than_the_promise_and_than_the_bare_mean(seed: int) -> None:
    drawn = random.Random(seed)
    learned_error = mean_error = promise_error = 0.0
    for _ in range(30):  # suppliers
        slow = drawn.gauss(1.2, 0.25)
        receipts: dict[str, Receipts] = {}
        promised: dict[str, Promised] = {}
        truth: dict[str, float] = {}
        for item in range(8):
            agreed = drawn.choice([5.0, 10.0, 30.0])
            share = max(drawn.gauss(slow, 0.1), 0.3)
            days = tuple(agreed * max(drawn.gauss(share, 0.35), 0.1) for _ in range(drawn.randrange(1, 8)))
            receipts[str(item)], promised[str(item)], truth[str(item)] = Receipts(days), Promised(agreed, 0.0), share
        for item, found in learn(receipts, promised).items():
            agreed, days = promised[item].mean, receipts[item].days
            learned_error += (found.mean / agreed - truth[item]) ** 2
            mean_error += (sum(days) / len(days) / agreed - truth[item]) ** 2
            promise_error += (1 - truth[item]) ** 2
    assert learned_error < 0.5 * mean_error
    assert learned_error < 0.5 * promise_error
