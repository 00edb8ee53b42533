"""Which kind of demand a series is: Syntetos, Boylan and Croston (2005), the cut-offs 1.32 and 0.49."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cloud.forecasts.forecast import DemandClass

#: Mean interval between periods with demand (ADI) from which demand counts as intermittent, periods.
ADI_CUTOFF = 1.32
#: Squared coefficient of variation of the demand sizes from which they count as erratic.
CV2_CUTOFF = 0.49
#: Periods below which a series is new: nothing can be told from fewer.
NEW_BELOW = 8


def classify(quantities: NDArray[np.float64]) -> DemandClass:
    """The class of a dense series, counted from its first period with demand on."""
    wanted = np.flatnonzero(quantities > 0)
    if not len(wanted):
        return "dead"
    periods = len(quantities) - int(wanted[0])
    if periods < NEW_BELOW:
        return "new"
    sizes = quantities[wanted]
    intermittent = periods / len(wanted) >= ADI_CUTOFF
    varied = float(np.var(sizes)) / float(np.mean(sizes)) ** 2 >= CV2_CUTOFF
    if intermittent:
        return "lumpy" if varied else "intermittent"
    return "erratic" if varied else "smooth"
