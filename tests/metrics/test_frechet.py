from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from medsynth.errors import DataError
from medsynth.metrics import Moments, frechet_distance, frechet_from_moments, frechet_infinity


def of_pytorch_fid(x, y):
    """The arithmetic of pytorch-fid and clean-fid: the root of the product of the covariances."""
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    step = x.mean(axis=0) - y.mean(axis=0)
    return step @ step + np.trace(first) + np.trace(second) - 2 * np.trace(linalg.sqrtm(first @ second).real)


@pytest.mark.parametrize(("rows", "dimensions"), [(50, 2), (500, 64), (300, 200)])
def test_equals_the_root_of_the_product(rows, dimensions):
    random = np.random.default_rng(dimensions)
    x = random.normal(size=(rows, dimensions)) @ random.normal(size=(dimensions, dimensions))
    y = 1.1 * random.normal(size=(rows + 7, dimensions)) + 0.1
    expected = of_pytorch_fid(x, y)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert frechet_from_moments(Moments.of(x), Moments.of(y)) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(y, x) == pytest.approx(expected, rel=1e-9)


def test_the_toy_of_monai():
    assert frechet_distance([[1, 2]] * 3, [[2, 2], [1, 2], [1, 2]]) == pytest.approx(4 / 9, rel=1e-14)


def test_one_dimension_is_means_and_deviations():
    x, y = np.random.default_rng(0).normal(size=(2, 100, 1)) * [[[1.0]], [[3.0]]]
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet_distance(x, y) == pytest.approx(expected)


def test_moments_of_blocks_are_those_of_the_whole(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(1000, 5)) + 1e4
    monkeypatch.setattr("medsynth.metrics.frechet._BLOCK", 37)
    found = Moments.of(rows)
    np.testing.assert_allclose(found.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(rows, rowvar=False), rtol=1e-8)
    assert found.count == 1000


def copies(x):
    return np.repeat(x[:3], 40, axis=0)


def constant(x):
    return np.ones_like(x)


def dependent(x):
    return np.concatenate([x, x, np.zeros_like(x)], axis=1)


@pytest.mark.parametrize("spoil", [copies, constant, dependent])
@pytest.mark.parametrize("rows", [20, 120])
def test_degenerate_sets_are_finite_and_zero_to_themselves(spoil, rows):
    x, y = np.random.default_rng(0).normal(size=(2, rows, 30))
    one, other = spoil(x), spoil(y)
    assert frechet_distance(one, one[::-1]) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(one, one + 2) == pytest.approx(4 * one.shape[1], rel=1e-6)
    assert np.isfinite(frechet_distance(one, other))
    assert np.isfinite(frechet_from_moments(Moments.of(one), Moments.of(other)))


@pytest.mark.parametrize("rows", [2, 5, 60])
def test_fewer_rows_than_dimensions_agree_with_moments_and_with_the_span(rows):
    """In a space of 90 dimensions the distance is what it is in the few that the rows span."""
    x, y = np.random.default_rng(0).normal(size=(2, rows, 90))
    basis = np.linalg.qr(np.concatenate([x, y]).T)[0]
    small = frechet_distance(x @ basis, y @ basis)
    assert frechet_distance(x, y) == pytest.approx(small, rel=1e-10)
    assert frechet_from_moments(Moments.of(x), Moments.of(y)) == pytest.approx(small, rel=1e-6)


def test_the_bias_is_what_extrapolation_removes():
    random = np.random.default_rng(0)
    plain, infinite = [], []
    for _ in range(5):
        x, y = random.normal(size=(2, 800, 32))
        plain.append(frechet_distance(x, y))
        infinite.append(frechet_infinity(x, y))
    assert np.mean(plain) > 0.5
    assert abs(np.mean(infinite)) < 0.05
    far = frechet_infinity(random.normal(size=(2000, 8)), random.normal(size=(2000, 8)) + 0.5)
    assert far == pytest.approx(8 * 0.25, rel=0.1)


def test_extrapolation_needs_rows():
    with pytest.raises(DataError, match=r"needs 132 rows a side for 32 dimensions.*Got 131 and 500"):
        frechet_infinity(np.zeros((131, 32)), np.zeros((500, 32)))


def test_one_row_has_no_covariance():
    with pytest.raises(DataError, match=r"at least 2 rows each. Got 1 and 5"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(DataError, match="covariance needs at least 2 rows"):
        frechet_from_moments(Moments.of(np.zeros((1, 3))), Moments.of(np.zeros((4, 3))))
