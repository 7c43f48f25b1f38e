from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from medsynth.errors import DataError
from medsynth.metrics import kernel, kernel_distance, kernel_distance_error


def with_scikit_learn(x, y):
    """Equation 3 of Gretton et al. 2012 with scikit-learn's kernel."""
    xx, yy, xy = (polynomial_kernel(a, b, degree=3, coef0=1) for a, b in ((x, x), (y, y), (x, y)))
    n, m = len(x), len(y)
    return (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1)) - 2 * xy.mean()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("block", [7, 1024])
def test_equals_scikit_learns_kernel(block, dtype, monkeypatch):
    monkeypatch.setattr(kernel, "_BLOCK", block)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 12)).astype(dtype), 1.2 * random.normal(size=(41, 12)).astype(dtype)
    expected = with_scikit_learn(x.astype(float), y.astype(float))
    assert kernel_distance(x, y).value == pytest.approx(expected, rel=1e-9)


def test_the_error_is_that_of_leaving_out_each_row():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(20, 3)), random.normal(size=(15, 3)) + 0.3
    variance = 0.0
    for rows, without in (
        (x, [with_scikit_learn(np.delete(x, at, 0), y) for at in range(20)]),
        (y, [with_scikit_learn(x, np.delete(y, at, 0)) for at in range(15)]),
    ):
        variance += (len(rows) - 1) / len(rows) * ((np.array(without) - np.mean(without)) ** 2).sum()
    assert kernel_distance_error(x, y)[1] == pytest.approx(variance**0.5, rel=1e-9)


def test_unbiased_and_the_error_covers_the_scatter():
    random = np.random.default_rng(0)
    found = np.array([kernel_distance_error(*random.normal(size=(2, 80, 8))) for _ in range(150)])
    assert abs(found[:, 0].mean()) < 3 * found[:, 0].std() / 150**0.5
    assert 1.0 < found[:, 1].mean() / found[:, 0].std() < 1.8  # Too large where nothing differs, as documented.
    apart = np.array(
        [kernel_distance_error(random.normal(size=(80, 8)), random.normal(size=(80, 8)) + 0.5) for _ in range(150)]
    )
    assert 0.8 < apart[:, 1].mean() / apart[:, 0].std() < 1.3


def test_the_interval_is_around_the_value():
    found = kernel_distance(*np.random.default_rng(0).normal(size=(2, 80, 8)))
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert found.low < found.value


def test_degenerate_sets_are_finite():
    ones = np.ones((5, 4))
    assert kernel_distance_error(ones, ones) == (0, 0)
    assert kernel_distance(np.zeros((4, 3)), np.ones((6, 3))).value == pytest.approx(7)
    with pytest.raises(DataError, match="at least 3 rows"):
        kernel_distance(np.ones((1, 4)), ones)
