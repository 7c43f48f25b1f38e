"""Which rows lie in balls around others, exactly: by bounds where they decide, else by the distance itself."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.metrics.screen import MANY, Screen, squared_distances, tiles, where

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.metrics.screen import Features

__all__ = ["Balls", "count_balls"]


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
    for part in tiles(len(rows)):
        placed = screens.quick.place(rows[part])
        for other in tiles(len(columns)):
            limits = (row_radii[part, None], column_radii[None, other])
            sifted = _sift(screens.quick, *placed, other, limits)
            if max(len(doubtful[0]) for _, doubtful in sifted) > MANY * len(rows[part]):
                sifted = _sift(screens.fine, *screens.fine.place(rows[part]), other, limits)
            (inner, outer), (reached, _) = _decided(sifted, rows[part], columns[other], limits)
            filled[part.start + inner] = True
            covered[part.start + reached] = True
            held = np.bincount(outer, weights=weights[part][inner], minlength=other.stop - other.start)
            around[other] += held.astype(np.int64)
    return Balls(filled, covered, around)


def _decided(
    sifted: list[Any], block: Features, points: Features, limits: tuple[NDArray[np.float64], ...]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each limit, the pairs (row of the block, point) that are nearer."""
    pairs = []
    for limit, (sure, doubtful) in zip(limits, sifted, strict=True):
        near = squared_distances(block, points, *doubtful) < np.broadcast_to(limit, (len(block), len(points)))[doubtful]
        pairs.append((np.append(sure[0], doubtful[0][near]), np.append(sure[1], doubtful[1][near])))
    return pairs


def _sift(
    screen: Screen,
    placed: Features,
    norms: NDArray[np.float64],
    part: slice,
    limits: tuple[NDArray[np.float64], ...],
) -> list[Any]:
    """For each limit, the pairs (placed row, column of the part) that are surely nearer and those that may be."""
    lower = screen.bounds(placed, norms, part)
    sifted = []
    for limit in limits:
        scaled = limit * screen.unit
        rows, columns = where(lower <= screen.at_most(scaled))
        upper = lower[rows, columns] + screen.slack(norms[rows], columns + part.start)
        sure = upper < np.broadcast_to(scaled, lower.shape)[rows, columns] * (1 - 1e-6)
        sifted.append(((rows[sure], columns[sure]), (rows[~sure], columns[~sure])))
    return sifted


class _Screens:
    """The quick screen, and the fine one where the quick decides too little (near copies among distant rows)."""

    def __init__(self, rows: Features, columns: Features) -> None:
        self._sides = rows, columns
        self.quick = Screen(rows, columns, np.float32)

    @functools.cached_property
    def fine(self) -> Screen:
        return Screen(*self._sides, np.float64)
