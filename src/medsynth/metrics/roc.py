"""ROC curves and the area under them, for many weightings of the rows at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "GRID",
    "Roc",
    "area_under",
    "counts_above",
    "roc_band",
    "roc_curve",
    "step_area",
    "youden_threshold",
]

GRID = np.linspace(0.0, 1.0, 101)
"""False positive rates at which a bootstrap band is given."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Roc:
    """The ROC curve of one class against the rest.

    Attributes:
        fpr: False positive rates (1 - specificity), ascending from 0 to 1, (k,).
        tpr: True positive rates (sensitivity), (k,).
        thresholds: Score at or above which a row is called positive, (k,); the first is infinity (nothing is).
        band_low: 2.5 % percentile of the resampled true positive rates at :data:`GRID`, (101,), or ``None``
            where there is but one unit, or fewer than half of the resamples have a curve.
        band_high: 97.5 % percentile.
    """

    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    band_low: NDArray[np.float64] | None = None
    band_high: NDArray[np.float64] | None = None


def roc_curve(
    positive: NDArray[np.bool_], scores: NDArray[np.floating[Any]], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """ROC curves of one score under many weightings of its rows; equal scores make one step.

    Args:
        positive: Which rows are positive, (n,).
        scores: Higher means more positive, (n,), finite.
        weights: Weight of each row in each curve, (b, n), not negative.

    Returns:
        False positive rates (b, k), true positive rates (b, k), thresholds (k,), where k - 1 is the number of distinct
        scores. Rates are NaN where a weighting has no positive or no negative row.
    """
    false, true, thresholds = counts_above(positive, scores, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        return false / false[:, -1:], true / true[:, -1:], thresholds


def step_area(
    positive: NDArray[np.bool_], scores: NDArray[np.floating[Any]], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average precision: sum over thresholds of (R_i - R_(i-1)) P_i with recall R and precision P, (b,).

    Without interpolation between points, which would be too optimistic (Davis and Goadrich 2006, section 4). The share
    of positive rows is what guessing gets. NaN where a weighting has no positive or no negative row.

    Args:
        positive: As for :func:`roc_curve`.
        scores: Likewise.
        weights: Likewise.
    """
    false, true, _ = counts_above(positive, scores, weights)
    called = false + true
    precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)[:, 1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        area = (np.diff(true, axis=1) * precision).sum(axis=1) / true[:, -1]
    return np.where(false[:, -1] > 0, area, np.nan)


def area_under(fpr: NDArray[np.float64], tpr: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area under ROC curves (..., k) by the trapezoidal rule: (...,).

    With ties as one step it equals the probability that a positive row scores higher than a negative one, equal scores
    counting one half (Hanley and McNeil, Radiology 1982).
    """
    return np.asarray(np.trapezoid(tpr, fpr, axis=-1))


def roc_band(fpr: NDArray[np.float64], tpr: NDArray[np.float64]) -> NDArray[np.float64]:
    """True positive rates of curves (b, k) read off at :data:`GRID`: (b, 101), NaN for a curve that is undefined.

    Reading at fixed false positive rates is vertical averaging (Fawcett, Pattern Recognition Letters 2006).
    """
    # Reading at rates that are NaN gives numbers that mean nothing.
    defined = np.isfinite(fpr).all(axis=1) & np.isfinite(tpr).all(axis=1)
    read = np.full((len(fpr), len(GRID)), np.nan)
    for line in np.flatnonzero(defined):
        read[line] = np.interp(GRID, fpr[line], tpr[line])
    return read


def youden_threshold(positive: NDArray[np.bool_], scores: NDArray[np.floating[Any]]) -> float:
    """The operating threshold with the largest sensitivity + specificity - 1 (Youden 1950, Cancer 3:32-35).

    Args:
        positive: Which rows are positive, (n,); at least one is and one is not.
        scores: Probability of the positive class, (n,).

    Returns:
        Of all thresholds that call the same rows positive: 0.5 where it is one of them, else the middle one. 0.5 where
        no threshold is better than guessing.
    """
    (fpr,), (tpr,), thresholds = roc_curve(positive, scores, np.ones((1, len(scores))))
    best = int(np.argmax(tpr - fpr))
    if tpr[best] <= fpr[best]:
        return 0.5
    below, lowest = thresholds[best + 1], thresholds[best]
    return 0.5 if below < 0.5 <= lowest else float((below + lowest) / 2)


def counts_above(
    positive: NDArray[np.bool_], scores: NDArray[np.floating[Any]], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weight of negative and of positive rows at or above each threshold (b, k), and the thresholds (k,)."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_equals = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    counts = []
    for side in (~positive[order], positive[order]):
        summed = np.cumsum(weights[:, order] * side, axis=1)[:, last_of_equals]
        counts.append(np.concatenate([np.zeros((len(weights), 1)), summed], axis=1))
    return counts[0], counts[1], np.concatenate([[np.inf], ranked[last_of_equals]])
