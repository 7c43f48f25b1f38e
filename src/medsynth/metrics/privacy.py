"""Whether generated images are too near to the images that a generator was trained on.

Distances are exact (:mod:`medsynth.metrics.neighbours`), so a copy is at distance 0 and no number depends on the order
of rows. Rows are features or flattened pixels, compared block by block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import DataError
from medsynth.metrics.bootstrap import Estimate
from medsynth.metrics.features import as_features, check_pair, distinct
from medsynth.metrics.intervals import Z, wilson
from medsynth.metrics.neighbours import nearest_neighbours

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Copies", "authenticity", "copying_test", "find_copies", "membership_auc", "ranking_auc"]

_LOWEST, _NEARER = 0.01, 0.5


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Copies:
    """How near each generated row is to the training rows, and which are so near that they must be copies.

    Attributes:
        nearest: Index of the nearest training row, int64 (m,).
        distances: To it, Euclidean, float64 (m,).
        held_out: The same distances of the held-out rows, float64 (k,).
        limit: At this distance, or below it, a row is flagged; 0 where every held-out row equals a training row.
    """

    nearest: NDArray[np.int64]
    distances: NDArray[np.float64]
    held_out: NDArray[np.float64]
    limit: float

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Which rows are, (m,)."""
        return self.distances <= self.limit

    @property
    def duplicates(self) -> NDArray[np.bool_]:
        """Which held-out rows equal a training row and had no part in the limit, (k,)."""
        return np.equal(self.held_out, 0)


def find_copies(train: Any, held_out: Any, made: Any) -> Copies:
    """Generated rows that are nearer to a training row than rows of other patients ever are.

    The limit is half of the distance that 1 % of the held-out rows do not exceed (the smallest one, of fewer than 100).
    In d dimensions a row that is no copy gets below half a distance about 2^d times less often, so the test stays quiet
    on held-out rows; a copy is at distance 0 and is found whatever the limit. Held-out rows that equal a training row
    are a defect of the split and no yardstick: the limit is measured without them.

    Args:
        train: (n, d).
        held_out: (k, d) real rows that took no part in training, of other patients.
        made: (m, d).

    Raises:
        medsynth.errors.DataError: No rows, other dimensions, or values that are not finite.
    """
    real, candidates = check_pair(train, made)
    _, others = check_pair(train, held_out)
    near, apart = (nearest_neighbours(rows, real, 1) for rows in (candidates, others))
    held = np.sqrt(apart.squared[:, 0])
    fresh = held[held > 0]
    return Copies(
        nearest=near.indices[:, 0],
        distances=np.sqrt(near.squared[:, 0]),
        held_out=held,
        limit=_NEARER * float(np.quantile(fresh, _LOWEST, method="lower")) if len(fresh) else 0.0,
    )


def authenticity(train: Any, made: Any) -> Estimate:
    """Share of generated rows that are farther from their nearest training row than that row is from the next one.

    Alaa et al. 2022, arXiv 2102.08921, section 4.3; about one half is expected where generated and training rows have
    one distribution, 0 of a generator that copies. Equal generated rows count once: the few images of a collapsed
    generator, repeated, would look like many observations. The interval is Wilson's, with the training rows as given.

    Args:
        train: (n, d), n at least 2.
        made: (m, d).

    Raises:
        medsynth.errors.DataError: Too few rows, other dimensions, or values that are not finite.
    """
    real, candidates = check_pair(train, made)
    near = nearest_neighbours(distinct(candidates).rows, real, 1)
    anchors, places = np.unique(near.indices[:, 0], return_inverse=True)
    # Two neighbours of each anchor, itself among them: the farther one is its nearest other row.
    spacing = nearest_neighbours(real[anchors], real, 2).squared[:, 1]
    return wilson(near.squared[:, 0] > spacing[places])


def copying_test(
    train: Any,
    held_out: Any,
    made: Any,
    *,
    held_out_cells: NDArray[Any] | None = None,
    made_cells: NDArray[Any] | None = None,
) -> float:
    """C_T: are generated rows nearer to the training rows than other real rows are? Far below 0, they are copies.

    Meehan, Chaudhuri and Dasgupta 2020, arXiv 2004.05675, section 3.2: in each cell the z-score of the Mann-Whitney
    statistic of distances to the nearest training row, generated against held-out, averaged with the held-out rows of
    the cells as weights. Cells are given (the classes, for example) and not found by clustering, whose start is random.
    Equal generated rows count once: a generator that repeats itself gives no independent observations.

    Args:
        train: (n, d).
        held_out: (m, d) real rows that took no part in training, of other patients.
        made: (k, d).
        held_out_cells: Cell of each held-out row; ``None``: there is one.
        made_cells: Cell of each generated row.

    Returns:
        About standard normal where nothing is copied and the generator is right; below -3 is an alarm.

    Raises:
        medsynth.errors.DataError: Too few rows, other dimensions, values that are not finite, or no cell with rows of
            both kinds.
    """
    real, others = check_pair(train, held_out)
    _, candidates = check_pair(train, made)
    far = [nearest_neighbours(rows, real, 1).squared[:, 0] for rows in (others, candidates)]
    cells: list[NDArray[Any]] = [
        np.zeros(len(rows), np.int64) if given is None else np.asarray(given)
        for rows, given in ((others, held_out_cells), (candidates, made_cells))
    ]
    if any(len(cell) != len(rows) for cell, rows in zip(cells, far, strict=True)):
        raise DataError(f"cells need one entry for each row. Got {[len(cell) for cell in cells]}.")
    scores, weights = [], []
    for cell in sorted(set(cells[0].tolist()) & set(cells[1].tolist())):
        apart, near = (rows[own == cell] for rows, own in zip(far, cells, strict=True))
        near = near[np.unique(distinct(candidates[cells[1] == cell]).places, return_index=True)[1]]
        scores.append(_z_score(apart, near))
        weights.append(len(apart))
    if not scores:
        raise DataError("the copying test needs a cell with held-out and generated rows. Got none.")
    return float(np.average(scores, weights=weights))


def membership_auc(train: Any, held_out: Any, made: Any) -> Estimate:
    """How well nearness to a generated row tells a training row from a held-out one: 0.5 says nothing leaks.

    The attack of Chen et al. 2020 (GAN-Leaks, arXiv 1909.03935, section 4.2, full black-box), as the area under its
    ROC curve with the standard error of Hanley and McNeil 1982.

    Args:
        train: (n, d) rows that were trained on.
        held_out: (m, d) rows that were not, of the same distribution.
        made: (k, d) generated rows.

    Raises:
        medsynth.errors.DataError: No rows, other dimensions, or values that are not finite.
    """
    members, candidates = check_pair(train, made)
    others, _ = check_pair(held_out, made)
    candidates = distinct(candidates).rows  # A collapsed generator repeats itself.
    inside, outside = (nearest_neighbours(rows, candidates, 1).squared[:, 0] for rows in (members, others))
    return ranking_auc(inside, outside)


def ranking_auc(lower: Any, higher: Any) -> Estimate:
    """Chance that a value of ``lower`` is below one of ``higher``, with the standard error of Hanley and McNeil 1982.

    With a classifier's losses on training and on held-out rows it is the attack of Yeom et al. 2018 (arXiv 1709.01604).

    Args:
        lower: (n,).
        higher: (m,).

    Raises:
        medsynth.errors.DataError: No values, or values that are not finite.
    """
    inside, outside = (
        as_features(np.asarray(values)[:, None], side)[:, 0].astype(np.float64)
        for values, side in ((lower, "lower"), (higher, "higher"))
    )
    area = _above(outside, inside) / (len(inside) * len(outside))
    pairs, singles = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (len(inside) - 1) * (pairs - area**2) + (len(outside) - 1) * (singles - area**2)
    half = Z * (max(0.0, variance) / (len(inside) * len(outside))) ** 0.5
    return Estimate(area, max(0.0, area - half), min(1.0, area + half))


def _z_score(others: NDArray[np.float64], made: NDArray[np.float64]) -> float:
    """Of the Mann-Whitney statistic, below 0 where ``made`` is smaller; with the correction for ties."""
    first, second = len(made), len(others)
    counts = np.unique(np.concatenate([made, others]), return_counts=True)[1].astype(np.float64)
    total = first + second
    ties = float((counts**3 - counts).sum()) / (total * (total - 1))
    spread = (first * second / 12 * (total + 1 - ties)) ** 0.5
    return (_above(made, others) - first * second / 2) / spread if spread else 0.0


def _above(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Pairs in which a value of ``first`` is above one of ``second``; equal ones count one half."""
    ranked = np.sort(second)
    below, not_above = (np.searchsorted(ranked, first, side=side) for side in ("left", "right"))
    return float((below + not_above).sum()) / 2
