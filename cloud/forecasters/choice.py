"""Which forecaster the configuration asks for."""

from __future__ import annotations

import os

from cloud.config import Forecasting
from cloud.forecasters.executors import Workers
from cloud.forecasters.processes import PoolForecaster, WorkerForecaster


def open_forecaster(config: Forecasting) -> Workers:
    """The forecaster of `[forecast]`: a Ray cluster where one is named, else worker processes. Nothing is started yet."""
    if config.ray:
        from cloud.forecasters.cluster import RayForecaster  # runs as a program of its own, too

        return RayForecaster(config.ray)
    workers = config.workers or max(1, (os.cpu_count() or 2) - 1)  # a core is left to what gateways send
    return WorkerForecaster() if workers == 1 else PoolForecaster(workers)
