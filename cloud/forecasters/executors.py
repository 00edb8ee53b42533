"""What answers batches of series, and the simplest that does."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from cloud.forecasts import worker
from cloud.forecasts.forecast import Batch, Forecasts


class Forecaster(Protocol):
    """Something that answers batches of series."""

    async def forecast(self, batch: Batch) -> Forecasts:
        """Forecast the series of `batch`. Raises CloudError when that is not possible now."""
        ...


@runtime_checkable
class Workers(Protocol):
    """A forecaster that works elsewhere."""

    @property
    def at_once(self) -> int:
        """Batches that it works on at the same time."""
        ...

    async def forecast(self, batch: Batch) -> Forecasts:
        """Forecast the series of `batch`. Raises CloudError when that is not possible now."""
        ...

    async def close(self) -> None:
        """End the workers and give their memory back; the next batch starts others."""
        ...


class InlineForecaster:
    """Forecasts in this process: for tests and the command line. Imports LightGBM with the first batch that can teach it."""

    async def forecast(self, batch: Batch) -> Forecasts:
        return worker.answer(batch)


def at_once(forecaster: Forecaster) -> int:
    """Batches that `forecaster` works on at the same time, at least one."""
    return max(1, forecaster.at_once) if isinstance(forecaster, Workers) else 1


async def close(forecaster: Forecaster) -> None:
    """Give back what the forecaster holds elsewhere, where it holds something."""
    if isinstance(forecaster, Workers):
        await forecaster.close()
