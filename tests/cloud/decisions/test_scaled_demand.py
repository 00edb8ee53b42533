"""Demand over other lengths of time than the forecast's: its gamma, its moments, what a position leaves unserved."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from forecasts_made import even_forecast
from scipy import stats

from cloud.decisions.demand import daily, gamma_quantile, gamma_shortage, moments, over, shortage


@pytest.mark.parametrize("variation", [0.1, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("level", [0.05, 0.5, 0.9, 0.95, 0.99])
def test_gamma_quantiles_are_those_of_the_gamma(variation: float, level: float) -> None:
    shape = 1 / variation**2
    exact = stats.gamma.ppf(level, shape, scale=100 / shape)
    assert gamma_quantile(100.0, (100 * variation) ** 2, level) == pytest.approx(exact, abs=3.0)


@pytest.mark.parametrize("variation", [0.1, 0.3, 0.6, 1.0])
def test_what_is_short_is_what_the_integral_gives(variation: float) -> None:
    shape = 1 / variation**2
    gamma = stats.gamma(shape, scale=100 / shape)
    for position in (0.0, 80.0, 100.0, 150.0, 220.0):
        exact = gamma.expect(lambda demand, position=position: max(demand - position, 0.0))
        found = gamma_shortage(np.asarray([100.0]), np.asarray([(100 * variation) ** 2]), np.asarray([position]))
        assert float(found[0]) == pytest.approx(float(exact), abs=0.6)


def test_a_forecasts_shortage_is_the_area_above_the_position() -> None:
    one = even_forecast()
    edges = np.asarray([0.0, *one.levels, 1.0])
    values = np.asarray([one.quantiles[0], *one.quantiles, one.quantiles[-1]])
    levels = (np.arange(400_000) + 0.5) / 400_000
    demand = np.interp(levels, edges, values)
    for position in (-50.0, 0.0, 60.0, 120.0, 155.0, 400.0):
        assert shortage(one, position) == pytest.approx(float(np.maximum(demand - position, 0).mean()), abs=1e-3)
    mean, variance = moments(one.levels, one.quantiles)
    assert mean == pytest.approx(float(demand.mean()), abs=1e-3)
    assert variance == pytest.approx(float(demand.var()), rel=1e-3)


def test_demand_grows_with_time_and_the_lead_times_spread_is_not_the_demands() -> None:
    one = daily(even_forecast())
    mean, variance = over(one, 10.5)
    assert mean == pytest.approx(105.0)
    assert over(one, 21.0) == pytest.approx((210.0, 2 * variance))
    spread = daily(msgspec.structs.replace(even_forecast(), lead_time_sd=2.0))
    assert over(spread, 10.5, 2.0)[1] == pytest.approx(variance)
    assert daily(even_forecast(lead_time_sd=50.0)).variance == 10.0  # never steadier than a Poisson demand
    assert over(daily(even_forecast(mean=210.0)), 21.0)[0] == pytest.approx(210.0 + 105.0)  # a season ends
