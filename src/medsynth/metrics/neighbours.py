"""Exact nearest neighbours, tile by tile, at the speed of single precision.

Distances of all pairs are bounded from below by one matrix product in float32; the few pairs that the bound does not
decide are computed as the float64 sum of squared differences. So results do not depend on rounding, on tiles or on
the order of rows, and equal rows are at distance 0 exactly, which ``|x|^2 + |y|^2 - 2xy`` in any precision is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medsynth.errors import DataError
from medsynth.metrics.screen import MANY, TILE, Screen, squared_distances, tiles, where

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.metrics.screen import Features

__all__ = ["Neighbours", "nearest_neighbours"]

_THINNED = 16
_PENDING = 1 << 20


@dataclass(frozen=True, eq=False, slots=True)
class Neighbours:
    """The nearest rows of a reference.

    Attributes:
        squared: Squared Euclidean distances, float64 (n, k), ascending.
        indices: Of the reference's rows, int64 (n, k).
    """

    squared: NDArray[np.float64]
    indices: NDArray[np.int64]


def nearest_neighbours(queries: Features, reference: Features, k: int, *, itself: bool = False) -> Neighbours:
    """The k nearest rows of the reference for each query; equally near ones in the order of their index.

    A sixteenth of the reference gives each query a distance within which its neighbours are; one sweep over all pairs
    (half of them with ``itself``) then collects what lies within it. Memory: the inputs, a copy of a reference that
    takes less than 256 MB, tiles of 1,024 x 1,024 pairs, and some 100 bytes for each neighbour. Many equal rows cost
    time: see :func:`medsynth.metrics.features.distinct`.

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
    near = _near_pairs(Screen(queries, reference, np.float32), queries, k, itself=itself, most=MANY * k * len(queries))
    if near is None:
        near = _near_pairs(Screen(queries, reference, np.float64), queries, k, itself=itself, most=None)
    assert near is not None
    rows, columns = near
    found = squared_distances(queries, reference, rows, columns)
    order = np.lexsort((columns, found, rows))
    chosen = order[np.searchsorted(rows[order], np.arange(len(queries)))[:, None] + np.arange(k)]
    return Neighbours(found[chosen], columns[chosen])


def _near_pairs(
    screen: Screen, queries: Features, k: int, *, itself: bool, most: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Pairs (query, column) among which are the k nearest of each query; ``None`` where they are more than ``most``."""

    def place(part: slice) -> tuple[Features, NDArray[np.float64]]:
        return (screen.columns(part), screen.norms[part]) if itself else screen.place(queries[part])

    parts = tiles(len(queries))
    limited = [_limits(screen, *place(part), k, part.start if itself else None) for part in parts]
    limits, norms = (np.concatenate(each) for each in zip(*limited, strict=True))
    found = _Pairs(screen, norms, limits, k)
    for part in parts:
        placed = place(part)[0]
        for other in tiles(len(screen.norms), start=part.start if itself else 0):
            lower = screen.bounds(placed, norms[part], other)
            mirrored = itself and other != part
            if itself and not mirrored:
                np.fill_diagonal(lower, np.inf)
            rows, columns = where(lower <= screen.at_most(limits[part])[:, None])
            found.add(rows + part.start, columns + other.start, lower[rows, columns])
            if mirrored:
                rows, columns = where(lower <= screen.at_most(limits[other]))
                found.add(columns + other.start, rows + part.start, lower[rows, columns])
            if most is not None and len(found) > most:
                return None
    pairs = found.all()
    return None if most is not None and len(found) > most else pairs


class _Pairs:
    """Pairs (query, column) that may be neighbours; what they rule out among themselves is dropped now and then."""

    def __init__(self, screen: Screen, norms: NDArray[np.float64], limits: NDArray[np.float64], k: int) -> None:
        self._screen, self._norms, self._limits, self._k = screen, norms, limits, k
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.int64], Features]] = []
        self._waiting = self._kept = 0

    def __len__(self) -> int:
        """Pairs that were not ruled out when this was last looked at."""
        return self._kept

    def add(self, rows: NDArray[np.int64], columns: NDArray[np.int64], bounds: Features) -> None:
        """Take some with the lower bounds of their distances, and lower the limits of their rows."""
        self._parts.append((rows, columns, bounds))
        self._waiting += len(rows)
        if self._waiting > _PENDING + self._kept:
            self._rule_out()

    def all(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Those that are left: rows and columns."""
        self._rule_out()
        return self._parts[0][:2]

    def _rule_out(self) -> None:
        rows, columns, bounds = (np.concatenate(each) for each in zip(*self._parts, strict=True))
        self._parts = []
        uppers = bounds + self._screen.slack(self._norms[rows], columns)
        order = np.lexsort((uppers, rows))
        counts = np.bincount(rows, minlength=len(self._limits))
        enough = counts >= self._k
        last = order[(np.cumsum(counts) - counts + self._k - 1)[enough]]
        self._limits[enough] = np.minimum(self._limits[enough], uppers[last])
        kept = bounds <= self._limits[rows]
        self._parts.append((rows[kept], columns[kept], bounds[kept]))
        self._waiting, self._kept = 0, int(kept.sum())


def _limits(
    screen: Screen, placed: Features, norms: NDArray[np.float64], k: int, own: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each row a squared distance within which k columns surely are; and the norms that were given."""
    count = len(screen.norms)
    # Not every sixteenth column: labels often come in turns, and the sample would be of one class.
    shuffled = np.argsort(np.random.Philox(key=0).random_raw(count), kind="stable")
    sample = shuffled[: max(min(count // _THINNED, 2 * TILE), min(count, 8 * (k + 1)))]
    lower = screen.bounds(placed, norms, sample)
    upper = lower + screen.slack(norms[:, None], sample)
    if own is not None:
        upper[sample == np.arange(own, own + len(placed))[:, None]] = np.inf
    return np.asarray(np.partition(upper, k - 1, axis=1)[:, k - 1]), norms
