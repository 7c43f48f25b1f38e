"""Precision, recall, density and coverage: balls around each row that reach to its k-th neighbour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import ConfigError
from medsynth.metrics.balls import count_balls
from medsynth.metrics.bootstrap import Estimate
from medsynth.metrics.features import Distinct, check_pair, distinct
from medsynth.metrics.intervals import Z, wilson
from medsynth.metrics.neighbours import nearest_neighbours

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Manifold", "expected_coverage", "manifold_metrics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifold:
    """How two sets of features lie in each other, with 95 % intervals.

    The intervals treat the rows that are counted as independent and the balls as given.

    Attributes:
        precision: Share of candidates in a ball of the reference: do they look real?
        recall: Share of reference rows in a ball of the candidates: is everything real reached?
        density: Balls of the reference around a candidate, divided by k; 1 is expected of equal distributions.
        coverage: Share of the reference's balls with a candidate in them; see :func:`expected_coverage`.
    """

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


def manifold_metrics(reference: Any, candidate: Any, k: int = 5) -> Manifold:
    """Precision and recall (Kynkäänniemi et al. 2019, arXiv 1904.06991) and density and coverage (Naeem et al. 2020).

    Equations 1 to 4 of Naeem et al., arXiv 2002.09797, with open balls as in their code: a distance equal to the radius
    is outside. Real rows X (n), generated rows Y (m), B(X_i) the ball around X_i that reaches to its k-th neighbour in
    X: precision = mean_j 1[Y_j in some B(X_i)], recall the same with X and Y exchanged,
    density = sum_ij 1[Y_j in B(X_i)] / (k m), coverage = mean_i 1[some Y_j in B(X_i)].

    Args:
        reference: (n, d), n above k.
        candidate: (m, d), m above k.
        k: Neighbours.

    Raises:
        medsynth.errors.ConfigError: k is below 1.
        medsynth.errors.DataError: Too few rows, other dimensions, or values that are not finite.
    """
    if k < 1:
        raise ConfigError(f"k must be at least 1. Got {k}.")
    real, made = check_pair(reference, candidate, least=k + 1)
    ours, theirs = distinct(real), distinct(made)
    balls = count_balls(ours.rows, theirs.rows, _radii(ours, k), _radii(theirs, k), weights=ours.counts)
    around = balls.around_columns[theirs.places]
    return Manifold(
        precision=wilson(around > 0),
        recall=wilson(balls.rows_covered[ours.places]),
        density=_density(around, k),
        coverage=wilson(balls.rows_filled[ours.places]),
    )


def expected_coverage(real: int, made: int, k: int) -> float:
    """Coverage that is expected of equal distributions, whatever they are: 1 - prod_{i=1..k} (n - i) / (m + n - i).

    Naeem et al. 2020, lemma 2.

    >>> round(expected_coverage(200, 200, 5), 4)
    0.9699
    """
    steps = np.arange(1, k + 1)
    return float(1 - np.prod((real - steps) / (made + real - steps)))


def _radii(points: Distinct, k: int) -> NDArray[np.float64]:
    """Squared distance of each distinct row to the k-th of the others, its own repetitions counted."""
    twins = points.counts - 1
    if len(points.rows) == 1:
        return np.zeros(1)
    near = nearest_neighbours(points.rows, points.rows, min(k, len(points.rows) - 1), itself=True)
    reached = twins[:, None] + np.cumsum(points.counts[near.indices], axis=1)
    first = (reached >= k).argmax(axis=1)
    return np.where(twins >= k, 0.0, np.take_along_axis(near.squared, first[:, None], axis=1)[:, 0])


def _density(held: NDArray[np.int64], k: int) -> Estimate:
    value = (1.0 / float(k)) * float(held.mean())
    half = Z * float(held.std(ddof=1)) / k / len(held) ** 0.5
    return Estimate(value, max(0.0, value - half), value + half)
