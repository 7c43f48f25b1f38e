from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.benchmark.statistics import MIN_SAMPLES, is_stable, median, median_interval, ratio_interval, upper_bound


@pytest.mark.parametrize("percentile", MIN_SAMPLES)
def test_too_few_values_give_no_bound(percentile: int) -> None:
    n = MIN_SAMPLES[percentile]
    assert upper_bound([1.0] * (n - 1), percentile) is None
    assert upper_bound([1.0] * n, percentile) == 1.0


@pytest.mark.parametrize("percentile", MIN_SAMPLES)
@pytest.mark.parametrize("extra", [0, 1, 37, 1000])
def test_the_order_statistic_agrees_with_scipy(percentile: int, extra: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    n = MIN_SAMPLES[percentile] + extra
    values = np.random.default_rng(0).permutation(n).tolist()
    # The smallest r with P(B <= r) >= 0.99 is binom.ppf(0.99); values are their own ranks.
    assert upper_bound(values, percentile) == stats.binom.ppf(0.99, n, percentile / 100)


def test_the_bound_holds_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    holds = [upper_bound(random.exponential(size=200), 90) >= np.log(10) for _ in range(400)]
    assert np.mean(holds) > 0.97  # 0.99 less three standard errors


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_median(values: list[float]) -> None:
    assert median(values) == pytest.approx(float(np.median(values)))


def test_stability() -> None:
    assert is_stable([1.0, 1.05, 1.0, 1.02, 1.09, 1.0])
    assert not is_stable([1.0, 1.0, 1.2, 1.2, 1.0, 1.0])  # a jump
    assert not is_stable(np.linspace(1, 2, 30).tolist())  # a drift
    assert not is_stable([1.0, 1.0])  # too few to say
    assert is_stable([100.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])  # the first does not fill a window


def test_the_interval_of_a_ratio_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(300):
        a, b = random.normal(10, 1, 300), random.normal(8, 1, 300)
        ratio, low, high = ratio_interval(a, b)
        assert low <= ratio <= high
        covered += low <= 10 / 8 <= high
    assert covered / 300 > 0.86  # 0.95, less what ten blocks cost


def test_the_interval_of_a_ratio_is_wide_where_neighbours_are_alike() -> None:
    random = np.random.default_rng(4)
    waves = np.repeat(random.normal(10, 1, 10), 30)
    noise = random.permutation(waves)
    wide, narrow = (np.ptp(ratio_interval(values, [10.0] * 300)[1:]) for values in (waves, noise))
    assert wide > 2 * narrow


def test_the_interval_of_a_median() -> None:
    values = [1.0, 1.1, 1.2, 1.3, 1.4]
    low, high = median_interval(values)
    assert min(values) <= low < 1.2 < high <= max(values)
    assert median_interval([2.0] * 5) == (2, 2)
