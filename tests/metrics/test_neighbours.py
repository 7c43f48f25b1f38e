"""Neighbours against brute force, above all where rounding decides: ties, copies, and data far from zero."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from medsynth.errors import DataError
from medsynth.metrics import nearest_neighbours, neighbours, screen
from medsynth.metrics.balls import count_balls
from medsynth.metrics.screen import Screen, squared_distances


def brute(queries, reference, k, itself):
    table = ((queries[:, None].astype(float) - reference[None].astype(float)) ** 2).sum(axis=2)
    if itself:
        np.fill_diagonal(table, np.inf)
    order = np.argsort(table, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(table, order, axis=1), order


@pytest.fixture(params=[(7, 0, 50), (2048, 1 << 28, 1 << 20)], ids=["many tiles", "one tile"])
def tiled(request, monkeypatch):
    """Small tiles of columns that are not kept, and pairs ruled out often; or all at once."""
    tile, kept, pending = request.param
    monkeypatch.setattr(screen, "TILE", tile)
    monkeypatch.setattr(neighbours, "TILE", tile)
    monkeypatch.setattr(screen, "_KEPT", kept)
    monkeypatch.setattr(neighbours, "_PENDING", pending)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("itself", [False, True])
@pytest.mark.parametrize(("rows", "dimensions", "k"), [(300, 20, 5), (40, 3, 1), (9, 2, 8), (700, 1, 3)])
def test_equal_brute_force(tiled, rows, dimensions, k, itself, dtype):
    random = np.random.default_rng(rows)
    reference = random.normal(size=(rows, dimensions)).astype(dtype)
    queries = reference if itself else random.normal(size=(33, dimensions)).astype(dtype)
    found = nearest_neighbours(queries, reference, k, itself=itself)
    squared, indices = brute(queries, reference, k, itself)
    np.testing.assert_allclose(found.squared, squared, rtol=1e-12)
    np.testing.assert_array_equal(found.indices, indices)


def test_equal_scikit_learn():
    random = np.random.default_rng(0)
    reference, queries = random.normal(size=(500, 64)), random.normal(size=(200, 64))
    distances, indices = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(reference).kneighbors(queries)
    found = nearest_neighbours(queries, reference, 4)
    np.testing.assert_allclose(np.sqrt(found.squared), distances, rtol=1e-7)
    np.testing.assert_array_equal(found.indices, indices)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_ties_and_copies_on_a_lattice(data):
    """Small whole numbers: everything is exact, and most distances occur many times."""
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows, dimensions = data.draw(st.integers(2, 60)), data.draw(st.integers(1, 5))
    k = data.draw(st.integers(1, rows - 1))
    reference = random.integers(-2, 3, (rows, dimensions)).astype(np.float64)
    found = nearest_neighbours(reference, reference, k, itself=True)
    squared, indices = brute(reference, reference, k, True)
    np.testing.assert_array_equal(found.squared, squared)
    np.testing.assert_array_equal(found.indices, indices)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x + 1e6,
        lambda x: x * 1e150,
        lambda x: x * 1e-150,
        lambda x: np.concatenate([x, [[1e9] * x.shape[1]]]),
        lambda x: np.concatenate([x * 1e-9 + np.repeat(np.eye(x.shape[1])[:2], len(x) // 2, axis=0), x]),
    ],
    ids=["far from zero", "large", "small", "an outlier", "two tight clusters"],
)
def test_hard_on_rounding(change):
    reference = change(np.random.default_rng(0).normal(size=(120, 10)))
    found = nearest_neighbours(reference, reference, 3, itself=True)
    table = cdist(reference, reference)
    np.fill_diagonal(table, np.inf)
    np.testing.assert_allclose(np.sqrt(found.squared), np.sort(table, axis=1)[:, :3], rtol=1e-9)


def test_near_copies_are_screened_in_double_precision(monkeypatch):
    """Two clusters so tight that single precision tells nothing apart inside them."""
    made = []
    init = Screen.__init__
    monkeypatch.setattr(Screen, "__init__", lambda self, *given: (made.append(given[-1]), init(self, *given))[1])
    random = np.random.default_rng(0)
    rows = np.repeat([[0.0, 0, 0], [1.0, 1, 1]], 400, axis=0) + 1e-7 * random.normal(size=(800, 3))
    found = nearest_neighbours(rows, rows, 1, itself=True)
    np.testing.assert_allclose(found.squared, brute(rows, rows, 1, True)[0], rtol=1e-9)
    assert made == [np.float32, np.float64]
    radii = found.squared[:, 0] * 1.5
    held = count_balls(rows, rows, radii, radii, weights=np.ones(800, np.int64))
    table = brute(rows, rows, 800, False)
    inside = np.empty((800, 800))
    np.put_along_axis(inside, table[1], table[0], axis=1)
    np.testing.assert_array_equal(held.around_columns, (inside < radii[:, None]).sum(axis=0))


def test_labels_that_come_in_turns_do_not_cost_memory(monkeypatch):
    """Sixteen far clusters in turns: a sample of every sixteenth row would know one of them only."""
    made = []
    init = Screen.__init__
    monkeypatch.setattr(Screen, "__init__", lambda self, *given: (made.append(given[-1]), init(self, *given))[1])
    rows = 100.0 * np.eye(16)[np.arange(3200) % 16] + np.random.default_rng(0).normal(size=(3200, 16))
    found = nearest_neighbours(rows, rows, 2, itself=True)
    assert (found.indices % 16 == np.arange(3200)[:, None] % 16).all()
    assert made == [np.float32]


def test_copies_are_at_distance_zero_exactly():
    rows = np.random.default_rng(0).normal(size=(40, 2000)) * 1e3
    assert (nearest_neighbours(rows, rows, 1).squared == 0).all()
    assert (nearest_neighbours(rows.astype(np.float32), rows.astype(np.float32), 1).squared == 0).all()


def test_a_ball_is_open(tiled):
    line = np.arange(20.0)[:, None]
    held = count_balls(line, line, np.full(20, 4.0), np.full(20, 1.0), weights=np.full(20, 3))
    assert held.around_columns[10] == 3 * 3  # Itself and both neighbours; those at distance 2 are on the edge.
    assert held.rows_covered.all()
    assert held.rows_filled.all()
    none = count_balls(line, line + 0.5, np.full(20, 0.25), np.full(20, 0.25), weights=np.ones(20, np.int64))
    assert not none.rows_filled.any()
    assert not none.rows_covered.any()


def test_bounds_hold():
    random = np.random.default_rng(0)
    rows = np.maximum(random.normal(size=(200, 300)), 0) + 5
    quick = Screen(rows, rows, np.float32)
    placed, norms = quick.place(rows)
    lower = quick.bounds(placed, norms, slice(None))
    table = cdist(rows, rows, "sqeuclidean") * quick.unit
    assert (lower <= table).all()
    assert (lower + quick.slack(norms[:, None], slice(None)) >= table).all()


def test_squared_distances_do_not_depend_on_the_block(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(50, 33))
    first, second = np.divmod(np.arange(2500), 50)
    whole = squared_distances(rows, rows, first, second)
    monkeypatch.setattr(screen, "_VALUES_AT_ONCE", 100)
    np.testing.assert_array_equal(squared_distances(rows, rows, first, second), whole)
    np.testing.assert_array_equal(squared_distances(rows, rows, second, first), whole)


def test_too_few_rows():
    with pytest.raises(DataError, match=r"2 nearest neighbours need 3 rows or more. Got 2"):
        nearest_neighbours(np.zeros((2, 1)), np.zeros((2, 1)), 2, itself=True)


def test_memory_is_that_of_tiles(monkeypatch):
    """Not of a block of rows against all columns, nor of a copy of the reference."""
    monkeypatch.setattr(screen, "TILE", 128)
    monkeypatch.setattr(neighbours, "TILE", 128)
    monkeypatch.setattr(screen, "_KEPT", 0)
    monkeypatch.setattr(neighbours, "_PENDING", 1 << 14)
    rows = np.random.default_rng(0).normal(size=(3000, 1024)).astype(np.float32)
    tracemalloc.start()
    try:
        with threadpool_limits(1):  # Threads of small products wait for each other.
            found = nearest_neighbours(rows, rows, 2, itself=True)
            count_balls(rows, rows, found.squared[:, 1], found.squared[:, 1], weights=np.ones(3000, np.int64))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.7 * rows.nbytes
