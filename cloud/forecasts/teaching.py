"""What one chunk of series learnt, for the chunks after it: learning costs as much for a few series as for all.

A model that was learnt at some origin serves at the same distance from the present or nearer: it knows nothing that the other
chunk did not know by then. How much it counts there is found from the other chunk's own past. Packed it travels between
processes of this program only, never in from outside: it is a pickle.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace

from cloud.forecasts.boosted import Boosted, learn
from cloud.forecasts.panel import Counts, Panel, Values


@dataclass(frozen=True, slots=True)
class Taught:
    """A model, the buckets from its origin to the present, the season it knows, whether it knows holidays, and the buckets of
    the panel that it learnt from.
    """

    age: int
    season: int
    holidays: bool
    length: int
    model: Boosted


class Teaching:
    """Answers `learn` from what was taught before where that fits, and remembers what had to be learnt."""

    def __init__(self, packed: bytes = b"") -> None:
        self._taught: tuple[Taught, ...] = pickle.loads(packed) if packed else ()
        self._learnt: list[Taught] = []

    def learn(self, panel: Panel, origin: int, lengths: Counts, season: int, holidays: Values) -> Boosted | None:
        """As `boosted.learn`."""
        age, free = panel.length - origin, bool(holidays.any())
        fitting = [
            one
            for one in self._taught
            if one.age >= age and one.season == season and one.holidays == free
            if season == 1 or (one.length - panel.length) % season == 0  # its weeks of the year are counted alike
        ]
        if fitting:
            return replace(min(fitting, key=lambda one: one.age).model, holidays=holidays)
        made = learn(panel, origin, lengths, season, holidays)
        if made is not None:
            self._learnt.append(Taught(age, season, free, panel.length, made))
        return made

    def packed(self) -> bytes:
        """What had to be learnt, without the holidays of its own batch; b"" where it was nothing."""
        told = tuple(replace(one, model=replace(one.model, holidays=one.model.holidays[:0])) for one in self._learnt)
        return pickle.dumps(told) if told else b""
