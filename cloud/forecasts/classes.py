"""Which kind of demand a series is: Syntetos, Boylan and Croston (2005), the cut-offs 1.32 and 0.49."""

from __future__ import annotations

from typing import get_args

import numpy as np

from cloud.forecasts.forecast import DemandClass
from cloud.forecasts.panel import Counts, Panel

#: Mean interval between periods with demand (ADI) from which demand counts as intermittent, periods.
ADI_CUTOFF = 1.32
#: Squared coefficient of variation of the demand sizes from which they count as erratic.
CV2_CUTOFF = 0.49
#: Periods below which a series is new: nothing can be told from fewer.
NEW_BELOW = 8

CLASSES: tuple[DemandClass, ...] = get_args(DemandClass)
SMOOTH, ERRATIC, INTERMITTENT, LUMPY, NEW, DEAD = range(len(CLASSES))


def classify(panel: Panel, origins: Counts) -> Counts:
    """The class of each series as known at each origin (series, origins), as an index of CLASSES."""
    periods = np.maximum(origins[None, :] - panel.first[:, None], 0)
    number, total, squares = panel.sums(np.zeros(len(origins), dtype=np.intp), origins)
    some = np.maximum(number, 1)
    mean = total / some
    varied = squares / some - mean**2 >= CV2_CUTOFF * mean**2
    intermittent = periods / some >= ADI_CUTOFF
    found = np.where(intermittent, np.where(varied, LUMPY, INTERMITTENT), np.where(varied, ERRATIC, SMOOTH))
    return np.where(number == 0, DEAD, np.where(periods < NEW_BELOW, NEW, found)).astype(np.intp)
