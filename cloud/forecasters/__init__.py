"""Where forecasts are made: in this process, in processes of their own, or on a Ray cluster; the numbers are the same.

A batch goes in whole and comes back whole (`cloud/forecasts/worker.py` answers it). What is too much for one batch is cut
by the cycle, which keeps as many in work at once as `at_once` says.
"""

from __future__ import annotations

from cloud.forecasters.choice import open_forecaster
from cloud.forecasters.executors import Forecaster, InlineForecaster, Workers, at_once, close
from cloud.forecasters.processes import PoolForecaster, WorkerForecaster

__all__ = [
    "Forecaster",
    "InlineForecaster",
    "PoolForecaster",
    "WorkerForecaster",
    "Workers",
    "at_once",
    "close",
    "open_forecaster",
]
