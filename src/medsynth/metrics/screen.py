"""Squared distances of pairs: bounds of all of them by one matrix product, and exact ones of a few.

Bound: with centred rows x, y of d values in precision u, the computed value errs by less than
(10 sqrt(d) + 16) u (|x|^2 + |y|^2), in whatever order it is summed (Higham and Mary 2019, SIAM J. Sci. Comput. 41,
A2815, theorem 3.1 with lambda = 10: one product in 10^18 may break it, in the worst case; below d = 100 none can).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Features: TypeAlias = NDArray[np.floating[Any]]

__all__ = ["MANY", "TILE", "Screen", "squared_distances", "tiles", "where"]

TILE = 1024
"""Rows and columns that are compared at once."""

MANY = 16
"""Pairs for each row (and neighbour) that may stay undecided before all is screened again in double precision."""

_KEPT = 1 << 28
"""Bytes of columns that are kept as they are compared; what needs more is prepared again for each tile of rows."""

_VALUES_AT_ONCE = 1 << 17  # 1 MB, so that differences stay in the cache.


class Screen:
    """Lower bounds of the squared distances between blocks of rows and of columns, in a unit of its own.

    Attributes:
        unit: Factor from squared distances to that unit, in which no row is longer than 1.
        norms: Squared lengths of the columns.
    """

    def __init__(self, rows: Features, columns: Features, dtype: type[np.floating[Any]]) -> None:
        self._columns, self._dtype = columns, dtype
        self._centre = sum(columns[part].sum(axis=0, dtype=np.float64) for part in tiles(len(columns))) / len(columns)
        self._scale = 1.0
        sides = (columns,) if rows is columns else (rows, columns)
        largest = max(float(_norms(self._centred(side[part])).max()) for side in sides for part in tiles(len(side)))
        self._scale = 1.0 / largest**0.5 if largest > 1e-300 else 1.0
        self.unit = self._scale**2
        terms = columns.shape[1]
        self._error = (min(terms, 10 * terms**0.5) + 16) * float(np.finfo(dtype).eps) / 2
        # What centring itself rounds, where the data lie far from zero, and what is too small for the precision.
        offset = float(np.abs(self._centre).max()) * columns.shape[1] ** 0.5 * self._scale
        self._floor = 1e-30 + 16.0 * float(np.finfo(np.float64).eps) * offset
        self.norms = np.concatenate([_norms(self._centred(columns[part])) for part in tiles(len(columns))])
        self._kept: Features | None = None
        if columns.size * np.dtype(dtype).itemsize <= _KEPT:
            kept = np.empty(columns.shape, dtype)
            for part in tiles(len(columns)):
                kept[part] = self.columns(part)
            self._kept = kept

    def place(self, rows: Features) -> tuple[Features, NDArray[np.float64]]:
        """Rows as they are compared, and their squared lengths."""
        centred = self._centred(rows)
        return centred.astype(self._dtype), _norms(centred)

    def columns(self, part: slice | NDArray[np.int64]) -> Features:
        """Some columns as they are compared."""
        return self._centred(self._columns[part]).astype(self._dtype) if self._kept is None else self._kept[part]

    def bounds(self, placed: Features, norms: NDArray[np.float64], columns: slice | NDArray[np.int64]) -> Features:
        """Lower bounds to some columns (b, n) of rows that were placed."""
        lower = (placed * self._dtype(-2)) @ self.columns(columns).T  # -2 is exact, and saves a pass over the block.
        lower += (self.norms[columns] * (1 - self._error)).astype(self._dtype)
        lower += (norms * (1 - self._error) - self._floor).astype(self._dtype)[:, None]
        return lower

    def slack(self, norms: NDArray[np.float64], columns: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        """What to add to a lower bound to get an upper one."""
        return np.asarray(2 * (self._error * (norms + self.norms[columns]) + self._floor))

    def at_most(self, limits: NDArray[np.float64]) -> Features:
        """Limits in the precision of the bounds, rounded up."""
        return np.nextafter(limits.astype(self._dtype), np.inf, dtype=self._dtype)

    def _centred(self, rows: Features) -> NDArray[np.float64]:
        centred = np.asarray(rows - self._centre, np.float64)
        centred *= self._scale
        return centred


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


def tiles(count: int, start: int = 0) -> list[slice]:
    """Slices of :data:`TILE` rows, the last one smaller."""
    return [slice(at, min(at + TILE, count)) for at in range(start, count, TILE)]


def where(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of what is true; quicker than numpy's, where that is little."""
    rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return rows, columns


def _norms(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((rows * rows).sum(axis=1))
