"""What each lever of the forecast-driven policy gives alone, on a demand file, at equal value fill.

`python -m benchmarks.replay_levers DEMAND [ITEMS] [--half even|odd|all] [--only WORDS]`; files as for the replay command.
Prints JSON: for each lever the changes from each opponent at the slider that serves the same share of the value (in sample,
mean of two seeds; null where the slider does not reach it), and `total`, the change of carrying and order cost (and freight).

Lead times: each item's true mean differs from its term's by a lognormal factor (cv 0.2); the policy plans with the terms,
with what `decisions.leadtime` learned from the receipts of the warm-up, or with the truth. Joint orders: groups of 20 items,
drawn by a seed, are a supplier's; an order below FREE_FREIGHT costs FREIGHT more.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.replay import half, made_up, patched
from benchmarks.steady_level import steady_level
from cloud.decisions.joint import Offer, top_up
from cloud.decisions.leadtime import Promised, Receipts, learn
from cloud.forecasts import calibration
from cloud.forecasts.panel import Counts, Values
from cloud.replay import policies
from cloud.replay.foresight import Foresight, foresee
from cloud.replay.games import Game, opening_stock, opponents, seen_before
from cloud.replay.history import Calendar, History
from cloud.replay.kpis import Kpis, kpis
from cloud.replay.slider import positions
from cloud.replay.tables import read_history
from cloud.replay.warehouse import Reorder, lead_times, play

SEEDS = (1, 2)
SHOWN = ("turnover", "line_stockout", "unit_fill", "excess_obsolete", "carrying_cost", "order_cost", "total")
#: How much an item's true lead time differs from its term's, coefficient of variation.
BIAS_CV = 0.2
#: Items of a drawn supplier; what an order costs more below a value, currency of the unit costs.
SUPPLIED, FREIGHT, FREE_FREIGHT = 20, 50.0, 1_000.0
#: An item may come along with an order when its position is within so many lots of its reorder point.
CAN_ORDER = 1.0

#: (seed, stockout value) -> what a policy comes to, with `total`.
Played = Callable[[int, float], dict[str, float]]
#: (rate, history) -> what is ordered at a time.
Lots = Callable[[Values, History], Values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demand", type=Path, nargs="?")
    parser.add_argument("items", type=Path, nargs="?")
    parser.add_argument("--half", choices=("even", "odd", "all"), default="even")
    parser.add_argument("--only", default="", help="levers whose name holds this")
    given = parser.parse_args()
    table = read_history(given.demand, given.items) if given.demand else read_history(made_up())
    history = half(table.history, given.half)
    calendar = Calendar.of(history)
    bench = Bench(history.rows(seen_before(history, calendar)), calendar)
    print(json.dumps({"half": given.half, "series": len(bench.history.names), "levers": bench.levers(given.only)}))


@dataclass
class Bench:
    """A history with what is the same for every lever."""

    history: History
    calendar: Calendar

    def __post_init__(self) -> None:
        self.foresight = foresee(self.history, self.calendar)
        self.games = {seed: Game(self.history, self.calendar, seed, "waits", lambda: None) for seed in SEEDS}
        self.slider = positions(self.history, self.calendar)[::2]

    def levers(self, only: str) -> dict[str, Any]:
        """Each lever alone, and the oracle."""
        found: dict[str, Any] = {}
        opposed = {
            seed: {name: figures(one) for name, one in game.opponents().items()} for seed, game in self.games.items()
        }
        shares = (("as it is", 0.0), *((f"share of value {share:.0%}", share) for share in (0.01, 0.02, 0.04)))
        for name, share in shares:
            if only in name:
                found[name] = self.against(opposed, self.with_foresight(self.foresight, share))
        changed: dict[str, dict[str, Any]] = {
            **{f"worst odds {risk}": {"MOST_RISK": risk} for risk in (0.3, 0.4, 0.6)},
            "half the lot": {"economic_lot": self.lots(0.5)},
            "three quarters of the lot": {"economic_lot": self.lots(0.75)},
            "one and a half lots": {"economic_lot": self.lots(1.5)},
            "power-of-two lots": {"economic_lot": power_of_two(policies.economic_lot)},
        }
        for name, names in changed.items():
            if only in name:
                with patched(names):
                    found[name] = self.against(opposed, self.with_foresight(self.foresight))
        for name, made in self.other_forecasts().items():
            if only in name:
                found[name] = self.against(opposed, made())
        if only in "lead times":
            found |= self.lead_times()
        if only in "joint orders":
            found |= self.joint_orders()
        oracle = [figures(game.run(policies.oracle(self.history))) for game in self.games.values()]
        found["oracle, at its own value fill"] = {
            name: mean([changes(oracle[at], one[name]) for at, one in enumerate(opposed.values())])
            for name in opposed[SEEDS[0]]
        }
        return found

    def other_forecasts(self) -> dict[str, Callable[[], Played]]:
        """Levers that change what is foreseen."""
        told = np.broadcast_to(np.asarray(calibration.ANCHORS), self.foresight.asked.shape).astype(np.float64)
        plain = replace(self.foresight, asked=told)
        return {
            "uncalibrated quantiles": lambda: self.with_foresight(plain),
            "steadier level": lambda: self.with_foresight(self.steady(calibrated=True)),
            "steadier level, uncalibrated": lambda: self.with_foresight(self.steady(calibrated=False)),
            "review every 2 periods": lambda: self.reviewed(2),
            "review every 4 periods": lambda: self.reviewed(4),
        }

    def steady(self, calibrated: bool) -> Foresight:
        """What would be foreseen with the steadier level."""
        with patched(steady_level(calibrated)):
            return foresee(self.history, self.calendar)

    def with_foresight(self, foresight: Foresight, share: float = 0.0) -> Played:
        return lambda seed, value: figures(
            self.games[seed].run(policies.foreseen(self.history, foresight, value, share))
        )

    def reviewed(self, every: int) -> Played:
        """The policy that looks only every so many periods, and knows it."""
        foresight = foresee(self.history, self.calendar, float(every))

        def played(seed: int, value: float) -> dict[str, float]:
            policy = policies.foreseen(self.history, foresight, value)
            nothing = np.zeros(len(self.history.demand))
            return figures(
                self.games[seed].run(
                    lambda now, position: policy(now, position) if (now - self.calendar.begin) % every == 0 else nothing
                )
            )

        return played

    def lots(self, share: float) -> Lots:
        """A share of the ordinary lot, not below the minimum."""
        whole = policies.economic_lot

        def lots(rate: Values, history: History) -> Values:
            return np.maximum(whole(rate, history) * share, np.maximum(history.moq, 1.0))

        return lots

    def against(self, opposed: dict[int, dict[str, dict[str, float]]], played: Played) -> dict[str, Any]:
        """The changes from each opponent at equal value fill, mean over the seeds."""
        lines = {seed: [played(seed, value) for value in self.slider] for seed in opposed}
        names = list(next(iter(opposed.values())))
        return {name: mean([equal(lines[seed], opposed[seed][name]) for seed in opposed]) for name in names}

    # --------------------------------------------------------------------------------------------- lead times

    def lead_times(self) -> dict[str, Any]:
        """Planned by the terms, by what receipts taught, by the truth; the same true lead times for all."""
        opposed: dict[int, dict[str, dict[str, float]]] = {}
        truths: dict[int, History] = {}
        for seed in SEEDS:
            drawn = np.random.default_rng(seed + 100).standard_normal(len(self.history.names))
            sigma = float(np.sqrt(np.log1p(BIAS_CV**2)))
            factor = np.exp(sigma * drawn - sigma**2 / 2)
            truths[seed] = replace(self.history, lead_time=self.history.lead_time * factor)
            rivals = opponents(self.history, self.calendar)
            opposed[seed] = {
                name: self.played(truths[seed], seed, one) for name, one in rivals.items() if callable(one)
            }

        def by_terms(seed: int, value: float) -> dict[str, float]:
            return self.played(truths[seed], seed, policies.foreseen(self.history, self.foresight, value))

        learned = {seed: foresee(self.learned(truths[seed], seed), self.calendar) for seed in SEEDS}
        known = {seed: foresee(truths[seed], self.calendar) for seed in SEEDS}

        def later(which: dict[int, Foresight]) -> Played:
            def played(seed: int, value: float) -> dict[str, float]:
                first = policies.foreseen(self.history, self.foresight, value)
                then = policies.foreseen(self.history, which[seed], value)
                begin = self.calendar.measured
                return self.played(
                    truths[seed], seed, lambda now, position: (first if now < begin else then)(now, position)
                )

            return played

        return {
            "lead times of the terms": self.against(opposed, by_terms),
            "lead times learned from the warm-up's receipts": self.against(opposed, later(learned)),
            "true lead times known from then on": self.against(opposed, later(known)),
        }

    def played(self, truth: History, seed: int, policy: Reorder) -> dict[str, float]:
        lead = lead_times(truth, self.calendar, seed)
        opening = opening_stock(self.history, self.calendar)
        return figures(kpis(truth, self.calendar, play(truth, self.calendar, policy, opening, lead)))

    def learned(self, truth: History, seed: int) -> History:
        """The terms with the lead times that the receipts of the warm-up taught, supplier by supplier."""
        orders: list[tuple[int, Counts]] = []
        policy = policies.foreseen(self.history, self.foresight, self.slider[len(self.slider) // 2])

        def noted(now: int, position: Values) -> Values:
            quantity = policy(now, position)
            orders.append((now, np.flatnonzero(quantity > 0)))
            return quantity

        self.played(truth, seed, noted)
        lead, end = lead_times(truth, self.calendar, seed), self.calendar.measured
        came: dict[int, list[float]] = {}
        open_: dict[int, list[float]] = {}
        for now, rows in orders:
            for row in rows.tolist() if now < end else ():
                took = float(lead[row, now])
                (came if now + took <= end else open_).setdefault(row, []).append(min(took, end - now))
        mean, spread = self.history.lead_time.copy(), self.history.lead_time_cv * self.history.lead_time
        for group in self.suppliers():
            promised = {str(row): Promised(float(mean[row]), float(spread[row])) for row in group}
            seen = {str(row): Receipts(tuple(came.get(row, ())), tuple(open_.get(row, ()))) for row in group}
            for name, one in learn(seen, promised).items():
                mean[int(name)], spread[int(name)] = one.mean, one.sd
        return replace(self.history, lead_time=mean, lead_time_sd=spread)

    def suppliers(self) -> list[list[int]]:
        """Drawn groups of items."""
        order = np.random.default_rng(11).permutation(len(self.history.names)).tolist()
        return [order[at : at + SUPPLIED] for at in range(0, len(order), SUPPLIED)]

    # --------------------------------------------------------------------------------------------- joint orders

    def joint_orders(self) -> dict[str, Any]:
        """Each item by itself, or filled up to free freight where that pays; freight is part of the total."""
        groups = [np.asarray(group) for group in self.suppliers()]
        cost = self.history.unit_cost

        def played(seed: int, value: float, joint: bool) -> dict[str, float]:
            policy = policies.foreseen(self.history, self.foresight, value)
            paid = [0.0]

            def ordering(now: int, position: Values) -> Values:
                wanted = policy(now, position)
                wanted = np.where(wanted > 0, np.maximum(np.ceil(wanted), self.history.moq), 0.0)
                for group in groups:
                    worth = float((wanted[group] * cost[group]).sum())
                    if not 0 < worth < FREE_FREIGHT:
                        continue
                    more = self.along(group, wanted, position, now, value, FREE_FREIGHT - worth) if joint else None
                    if more is None:
                        paid[0] += FREIGHT if now >= self.calendar.measured else 0.0
                    else:
                        wanted[group] += more
                return wanted

            found = figures(self.games[seed].run(ordering))
            years = (self.calendar.end - self.calendar.measured) / self.history.periods_per_year
            found["total"] += paid[0] / years
            return found

        alone = {seed: [played(seed, value, joint=False) for value in self.slider] for seed in SEEDS}
        together = {seed: [played(seed, value, joint=True) for value in self.slider] for seed in SEEDS}
        middle = {seed: line[len(line) // 2] for seed, line in alone.items()}
        return {
            "joint orders to free freight, against each item by itself": {
                "each item by itself, middle of the slider": mean([equal(together[s], middle[s]) for s in SEEDS])
            }
        }

    def along(
        self, group: Counts, wanted: Values, position: Values, now: int, value: float, missing: float
    ) -> Values | None:
        """What comes along with an order of a group, base units, or None where nothing pays."""
        column = now + 1 - int(self.foresight.origins[0])
        rate = self.foresight.rate[group, column]
        lot = policies.economic_lot(self.foresight.rate[:, column], self.history)[group]
        # the position at which each would be ordered: an order at position 0 says what it is filled up to
        up_to = policies.foreseen(self.history, self.foresight, value)(now, np.full(len(position), -1e9))[group] - 1e9
        above = position[group] - (up_to - lot)
        free = np.flatnonzero((wanted[group] <= 0) & (rate > 0) & (above < CAN_ORDER * lot))
        offers = [
            Offer(
                float(self.history.unit_cost[group[at]]),
                float(self.history.holding[group[at]]),
                float(max(above[at], 0.0) / rate[at]),
                int(max(self.history.moq[group[at]], 1)),
                int(max(np.ceil(lot[at]), self.history.moq[group[at]], 1)),
            )
            for at in free
        ]
        filled = top_up(missing, FREIGHT, offers)
        if filled is None:
            return None
        more = np.zeros(len(group))
        more[free] = filled.quantities
        return more


def power_of_two(whole: Lots) -> Lots:
    """Lots that last a power of two of periods (Jackson, Maxwell and Muckstadt 1985): orders fall together."""

    def lots(rate: Values, history: History) -> Values:
        lot = whole(rate, history)
        cover = lot / np.maximum(rate, 1e-9)
        rounded = 2.0 ** np.round(np.log2(np.maximum(cover, 1.0)))
        return np.maximum(np.where(rate > 0, rounded * rate, lot), np.maximum(history.moq, 1.0))

    return lots


def figures(one: Kpis) -> dict[str, float]:
    found = {name: float(getattr(one, name)) for name in Kpis.__struct_fields__}
    return found | {"total": one.carrying_cost + one.order_cost}


def equal(line: Sequence[dict[str, float]], opponent: dict[str, float]) -> dict[str, float] | None:
    """Changes from the opponent where as much value is served, between two positions of the slider in proportion."""
    served = np.maximum.accumulate([one["value_fill"] for one in line])
    if not served[0] <= opponent["value_fill"] <= served[-1]:
        return None
    here = {name: float(np.interp(opponent["value_fill"], served, [one[name] for one in line])) for name in SHOWN}
    return changes(here, opponent)


def changes(new: dict[str, float], old: dict[str, float]) -> dict[str, float]:
    return {
        name: new[name] - old[name] if name == "unit_fill" else new[name] / old[name] - 1 if old[name] else 0.0
        for name in SHOWN
    }


def mean(found: Sequence[dict[str, float] | None]) -> dict[str, float] | None:
    told = [one for one in found if one is not None]
    if len(told) < len(found):
        return None
    return {name: round(sum(one[name] for one in told) / len(told), 3) for name in SHOWN}


if __name__ == "__main__":
    main()
