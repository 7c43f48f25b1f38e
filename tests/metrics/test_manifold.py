from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medsynth.errors import ConfigError, DataError
from medsynth.metrics import expected_coverage, manifold_metrics, neighbours, screen

FIELDS = ("precision", "recall", "density", "coverage")


def values(real, made, k=5):
    found = manifold_metrics(real, made, k)
    return {name: getattr(found, name).value for name in FIELDS}


def of_prdc(real, made, k):
    prdc = pytest.importorskip("prdc")
    with contextlib.redirect_stdout(io.StringIO()):
        return {name: float(value) for name, value in prdc.compute_prdc(real, made, k).items()}


@pytest.mark.parametrize(
    ("rows", "others", "dimensions", "k"),
    [(100, 100, 2, 5), (600, 600, 64, 5), (50, 300, 3, 1), (1100, 90, 5, 3), (700, 700, 512, 10), (30, 30, 100, 5)],
)
@pytest.mark.parametrize("kind", ["normal", "rectified", "lattice"])
def test_equal_prdc_to_the_last_bit(rows, others, dimensions, k, kind):
    random = np.random.default_rng(rows + dimensions)
    real, made = random.normal(size=(rows, dimensions)), 0.9 * random.normal(size=(others, dimensions)) + 0.1
    if kind == "rectified":
        real, made = np.maximum(real, 0.0) + 3, np.maximum(made, 0.0) + 3
        # Rows without any positive value are copies, on which prdc depends on rounding.
        real, made = real + 1e-3 * random.random(real.shape), made + 1e-3 * random.random(made.shape)
    if kind == "lattice":  # Whole numbers: prdc's distances are exact, ties and copies included.
        real, made = np.round(3 * real), np.round(3 * made)
    assert values(real, made, k) == of_prdc(real, made, k)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4))
def test_order_copies_and_scale(seed, dimensions, k):
    random = np.random.default_rng(seed)
    real = random.integers(-2, 3, (random.integers(k + 1, 40), dimensions)) * 0.7
    made = random.integers(-2, 3, (random.integers(k + 1, 40), dimensions)) * 0.7
    found = values(real, made, k)
    assert values(random.permutation(real), random.permutation(made), k) == found
    assert values(4 * real, 4 * made, k) == found
    assert all(0 <= found[name] <= 1 for name in ("precision", "recall", "coverage"))
    table = np.abs(((real[:, None] - made[None]) ** 2).sum(axis=2))
    own = [np.sort(((rows[:, None] - rows[None]) ** 2).sum(axis=2), axis=1)[:, k] for rows in (real, made)]
    assert found["precision"] == (table < own[0][:, None]).any(axis=0).mean()
    assert found["recall"] == (table < own[1][None]).any(axis=1).mean()
    assert found["coverage"] == (table < own[0][:, None]).any(axis=1).mean()
    assert found["density"] == pytest.approx((table < own[0][:, None]).sum(axis=0).mean() / k)


def test_blocks_change_nothing(monkeypatch):
    real, made = np.random.default_rng(0).normal(size=(2, 200, 6))
    whole = values(real, made)
    monkeypatch.setattr(screen, "TILE", 13)
    monkeypatch.setattr(neighbours, "TILE", 13)
    assert values(real, made) == whole


def test_equal_distributions_get_what_theory_says():
    random = np.random.default_rng(0)
    trials = [values(*random.normal(size=(2, 200, 4))) for _ in range(40)]
    mean = {name: np.mean([trial[name] for trial in trials]) for name in FIELDS}
    assert mean["density"] == pytest.approx(1, abs=0.03)
    assert mean["coverage"] == pytest.approx(expected_coverage(200, 200, 5), abs=0.005)
    assert expected_coverage(200, 200, 5) == pytest.approx(0.9699, abs=1e-4)
    assert expected_coverage(10, 10**9, 5) == pytest.approx(1)


def test_collapse_is_precise_and_recalls_nothing():
    real = np.random.default_rng(0).normal(size=(500, 8))
    found = values(real, np.repeat(real[:2], 3000, axis=0))
    assert found["precision"] == 1
    assert found["recall"] == 0
    assert found["coverage"] < 0.1


def test_copies_of_the_reference_are_on_the_edge_of_balls_not_in_them():
    """A row's k-th neighbour among the reference is as far from its own copy: an exact tie, and balls are open."""
    real = np.random.default_rng(0).normal(size=(300, 16))
    found = values(real, real.copy(), k=3)
    assert found["density"] == pytest.approx(1.0)  # Itself and two of three neighbours.
    assert values(real, real[::-1], k=3) == found


@pytest.mark.parametrize("constant", ["real", "made", "both"])
def test_constant_features_are_finite(constant):
    real, made = np.random.default_rng(0).normal(size=(2, 40, 4))
    if constant != "made":
        real = np.ones_like(real)
    if constant != "real":
        made = np.ones_like(made)
    assert all(np.isfinite(list(values(real, made).values())))


def test_intervals_hold_the_value_and_have_a_width_at_the_ends():
    real = np.random.default_rng(0).normal(size=(100, 4))
    found = manifold_metrics(real, real + 100)
    assert (found.precision.value, found.precision.low) == (0, 0)
    assert 0 < found.precision.high < 0.05
    found = manifold_metrics(*np.random.default_rng(1).normal(size=(2, 100, 4)))
    for name in FIELDS:
        estimate = getattr(found, name)
        assert estimate.low < estimate.value < estimate.high or estimate.value in {0, 1}


def test_refusals():
    with pytest.raises(ConfigError, match="k must be at least 1"):
        manifold_metrics(np.zeros((9, 1)), np.zeros((9, 1)), 0)
    with pytest.raises(DataError, match=r"at least 6 rows each. Got 9 and 1"):
        manifold_metrics(np.zeros((9, 1)), np.zeros((1, 1)))
