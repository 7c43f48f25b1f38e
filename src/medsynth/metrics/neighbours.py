"""Exact nearest neighbours and balls, block by block, at the speed of single precision.

Distances of all pairs are bounded from below by one matrix product in float32; the few pairs that the bound does not
decide are computed as the float64 sum of squared differences. So results do not depend on rounding, on blocks or on
the order of rows, and equal rows are at distance 0 exactly, which ``|x|^2 + |y|^2 - 2xy`` in any precision is not.

Bound: with centred rows x, y of d values in precision u, the computed value errs by less than
(10 sqrt(d) + 16) u (|x|^2 + |y|^2), in whatever order it is summed (Higham and Mary 2019, SIAM J. Sci. Comput. 41,
A2815, theorem 3.1 with lambda = 10: one product in 10^18 may break it, in the worst case; below d = 100 none can).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from medsynth.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Features: TypeAlias = NDArray[np.floating[Any]]

__all__ = ["Balls", "Neighbours", "count_balls", "nearest_neighbours", "squared_distances"]

_ROWS = 1024
_VALUES_AT_ONCE = 1 << 17  # 1 MB, so that differences stay in the cache.
_THINNED = 16
_EVERY = slice(None)
_MANY = 64
"""Pairs for each row (and neighbour) that may stay undecided before all is screened again in double precision."""


@dataclass(frozen=True, eq=False, slots=True)
class Neighbours:
    """The nearest rows of a reference.

    Attributes:
        squared: Squared Euclidean distances, float64 (n, k), ascending.
        indices: Of the reference's rows, int64 (n, k).
    """

    squared: NDArray[np.float64]
    indices: NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Balls:
    """How rows and columns lie in each other's balls.

    Attributes:
        rows_filled: Whether a row's ball holds a column, bool (n,).
        rows_covered: Whether a row is in a column's ball, bool (n,).
        around_columns: Weight of the rows' balls that hold a column, int64 (m,).
    """

    rows_filled: NDArray[np.bool_]
    rows_covered: NDArray[np.bool_]
    around_columns: NDArray[np.int64]


class _Screen:
    """Lower bounds of the squared distances between blocks of rows and all columns, in a unit of its own.

    Attributes:
        unit: Factor from squared distances to that unit, in which no row is longer than 1.
    """

    def __init__(self, rows: Features, columns: Features, dtype: type[np.floating[Any]]) -> None:
        blocks = range(0, len(columns), _ROWS)
        self.centre = sum(columns[at : at + _ROWS].sum(axis=0, dtype=np.float64) for at in blocks) / len(columns)
        self.dtype = dtype
        sides = (columns,) if rows is columns else (rows, columns)
        largest = max(
            float(_norms(side[at : at + _ROWS] - self.centre).max())
            for side in sides
            for at in range(0, len(side), _ROWS)
        )
        self.scale = 1.0 / largest**0.5 if largest > 1e-300 else 1.0
        self.unit = self.scale**2
        terms = columns.shape[1]
        self.error = (min(terms, 10 * terms**0.5) + 16) * float(np.finfo(dtype).eps) / 2
        # What centring itself rounds, where the data lie far from zero, and what is too small for the precision.
        offset = float(np.abs(self.centre).max()) * columns.shape[1] ** 0.5 * self.scale
        self.floor = 1e-30 + 16.0 * float(np.finfo(np.float64).eps) * offset
        self.columns = np.empty(columns.shape, dtype)
        self.norms = np.empty(len(columns))
        for at in blocks:
            self.columns[at : at + _ROWS], self.norms[at : at + _ROWS] = self.place(columns[at : at + _ROWS])
        self.columns *= -2  # Exact, and saves a pass over every block.

    def place(self, rows: Features) -> tuple[Features, NDArray[np.float64]]:
        centred = (rows - self.centre) * self.scale
        return centred.astype(self.dtype), _norms(centred)

    def placed(self, part: slice) -> tuple[Features, NDArray[np.float64]]:
        """Some columns, as :meth:`place` gives them where they are the rows too."""
        return self.columns[part] * self.dtype(-0.5), self.norms[part]

    def bounds(
        self, placed: Features, norms: NDArray[np.float64], columns: slice | NDArray[np.int64] = _EVERY
    ) -> Features:
        """Lower bounds to some columns (b, n) of rows that were placed."""
        lower = placed @ self.columns[columns].T
        lower += (self.norms[columns] * (1 - self.error)).astype(self.dtype)
        lower += (norms * (1 - self.error) - self.floor).astype(self.dtype)[:, None]
        return lower

    def slack(self, norms: NDArray[np.float64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
        """What to add to a lower bound to get an upper one."""
        return np.asarray(2 * (self.error * (norms + self.norms[columns]) + self.floor))

    def at_most(self, limits: NDArray[np.float64]) -> Features:
        """Limits in the precision of the bounds, rounded up."""
        return np.nextafter(limits.astype(self.dtype), np.inf, dtype=self.dtype)


class _Screens:
    """The quick screen, and the fine one where the quick decides too little (near copies among distant rows)."""

    def __init__(self, rows: Features, columns: Features) -> None:
        self._sides = rows, columns
        self.quick = _Screen(rows, columns, np.float32)

    @functools.cached_property
    def fine(self) -> _Screen:
        return _Screen(*self._sides, np.float64)


def squared_distances(
    rows: Features, columns: Features, first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Squared Euclidean distances of pairs: float64 sums of squared differences.

    Args:
        rows: (n, d).
        columns: (m, d).
        first: Index into ``rows`` of each pair, (p,).
        second: Index into ``columns``.

    Returns:
        (p,).
    """
    step = max(1, _VALUES_AT_ONCE // rows.shape[1])
    squared = np.empty(len(first))
    for at in range(0, len(first), step):
        part = slice(at, at + step)
        difference = rows[first[part]].astype(np.float64)
        difference -= columns[second[part]]
        squared[part] = _norms(difference)
    return squared


def nearest_neighbours(queries: Features, reference: Features, k: int, *, itself: bool = False) -> Neighbours:
    """The k nearest rows of the reference for each query; equally near ones in the order of their index.

    A sixteenth of the reference gives each query a distance within which its neighbours are; one sweep over all pairs
    (half of them with ``itself``) then collects what lies within it. Memory: the inputs, a float32 copy of the
    reference, and blocks of 1,024 rows. Many equal rows cost time: see :func:`medsynth.metrics.features.distinct`.

    Args:
        queries: (n, d).
        reference: (m, d).
        k: At least 1, at most m, or m - 1 with ``itself``.
        itself: The queries are the reference, and a row is no neighbour of its own.

    Raises:
        medsynth.errors.DataError: The reference has too few rows.
    """
    if not 1 <= k <= len(reference) - itself:
        raise DataError(f"{k} nearest neighbours need {k + itself} rows or more. Got {len(reference)}.")
    screens = _Screens(queries, reference)
    most = _MANY * k * len(queries)
    pairs = _near_pairs(screens.quick, queries, k, itself=itself, most=most)
    if pairs is None:
        pairs = _near_pairs(screens.fine, queries, k, itself=itself, most=None)
    assert pairs is not None
    rows, columns = pairs
    found = squared_distances(queries, reference, rows, columns)
    order = np.lexsort((columns, found, rows))
    chosen = order[np.searchsorted(rows[order], np.arange(len(queries)))[:, None] + np.arange(k)]
    return Neighbours(found[chosen], columns[chosen])


def _near_pairs(
    screen: _Screen, queries: Features, k: int, *, itself: bool, most: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Pairs (query, column) among which are the k nearest of each query; ``None`` where they are more than ``most``."""
    blocks = range(0, len(queries), _ROWS)

    def place(start: int) -> tuple[Features, NDArray[np.float64]]:
        part = slice(start, start + _ROWS)
        return screen.placed(part) if itself else screen.place(queries[part])

    limited = [_limits(screen, *place(start), k, start if itself else None) for start in blocks]
    limits, norms = (np.concatenate(each) for each in zip(*limited, strict=True))
    collected: list[tuple[NDArray[np.int64], NDArray[np.int64], Features]] = []
    for start in blocks:
        stop = min(start + _ROWS, len(queries))
        first = start if itself else 0
        lower = screen.bounds(*place(start), slice(first, None))
        if itself:
            here = np.arange(stop - start)
            lower[here, here] = np.inf
        near = _where(lower <= screen.at_most(limits[start:stop])[:, None])
        parts = [(near[0] + start, near[1] + first, lower[near])]
        if itself and stop < len(queries):
            # What is below the diagonal, read off its mirror image.
            later = lower[:, stop - start :]
            near = _where(later <= screen.at_most(limits[stop:]))
            parts.append((near[1] + stop, near[0] + start, later[near]))
        collected += parts
        if most is not None and sum(len(rows) for rows, _, _ in collected) > most:
            return None
    rows, columns, bounds = (np.concatenate(each) for each in zip(*collected, strict=True))
    uppers = bounds + screen.slack(norms[rows], columns)
    order = np.lexsort((uppers, rows))
    last = order[np.searchsorted(rows[order], np.arange(len(queries))) + k - 1]
    kept = bounds <= uppers[last][rows]
    return rows[kept], columns[kept]


def _limits(
    screen: _Screen, placed: Features, norms: NDArray[np.float64], k: int, own: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each row a squared distance within which k columns surely are; and the norms that were given."""
    count = len(screen.columns)
    # Not every sixteenth column: labels often come in turns, and the sample would be of one class.
    shuffled = np.argsort(np.random.Philox(key=0).random_raw(count), kind="stable")
    sample = shuffled[: max(count // _THINNED, min(count, 8 * (k + 1)))]
    lower = screen.bounds(placed, norms, sample)
    upper = lower + screen.slack(norms[:, None], sample)
    if own is not None:
        upper[sample == np.arange(own, own + len(placed))[:, None]] = np.inf
    return np.asarray(np.partition(upper, k - 1, axis=1)[:, k - 1]), norms


def count_balls(
    rows: Features,
    columns: Features,
    row_radii: NDArray[np.float64],
    column_radii: NDArray[np.float64],
    *,
    weights: NDArray[np.int64],
) -> Balls:
    """How columns lie in the balls around rows, and rows in the balls around columns.

    Args:
        rows: (n, d).
        columns: (m, d).
        row_radii: Squared radii of the balls around the rows, (n,); balls are open.
        column_radii: Squared radii of the balls around the columns, (m,).
        weights: How much each row's ball counts, (n,).
    """
    screens = _Screens(rows, columns)
    filled, covered = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    around = np.zeros(len(columns), np.int64)
    for start in range(0, len(rows), _ROWS):
        part = slice(start, start + _ROWS)
        (inner, outer), (reached, _) = _inside(screens, rows[part], columns, row_radii[part], column_radii)
        filled[start + inner] = True
        covered[start + reached] = True
        around += np.bincount(outer, weights=weights[part][inner], minlength=len(columns)).astype(np.int64)
    return Balls(filled, covered, around)


def _inside(
    screens: _Screens, block: Features, points: Features, row_radii: NDArray[np.float64], radii: NDArray[np.float64]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs (row, column) nearer than the row's radius, and those nearer than the column's."""
    limits = (row_radii[:, None], radii[None])
    screen = screens.quick
    sifted = _sift(screen, block, limits)
    if max(len(doubtful[0]) for _, doubtful in sifted) > _MANY * len(block):
        sifted = _sift(screens.fine, block, limits)
    pairs = []
    for limit, (sure, doubtful) in zip(limits, sifted, strict=True):
        near = squared_distances(block, points, *doubtful) < np.broadcast_to(limit, (len(block), len(points)))[doubtful]
        pairs.append((np.append(sure[0], doubtful[0][near]), np.append(sure[1], doubtful[1][near])))
    return pairs


def _sift(screen: _Screen, block: Features, limits: tuple[NDArray[np.float64], ...]) -> list[Any]:
    """For each limit, the pairs that are surely nearer and those that may be."""
    placed, norms = screen.place(block)
    lower = screen.bounds(placed, norms)
    sifted = []
    for limit in limits:
        scaled = limit * screen.unit
        rows, columns = _where(lower <= screen.at_most(scaled))
        upper = lower[rows, columns] + screen.slack(norms[rows], columns)
        sure = upper < np.broadcast_to(scaled, lower.shape)[rows, columns] * (1 - 1e-6)
        sifted.append(((rows[sure], columns[sure]), (rows[~sure], columns[~sure])))
    return sifted


def _where(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return rows, columns


def _norms(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((rows * rows).sum(axis=1))
