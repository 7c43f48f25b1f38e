"""Precision-recall curves, with the band that resampling gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.metrics.bootstrap import RESAMPLING, Resampling, percentiles, resample
from medsynth.metrics.roc import GRID, counts_above

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.metrics.rows import Rows

__all__ = ["PrecisionRecall", "precision_recall"]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class PrecisionRecall:
    """The precision-recall curve of one class against the rest.

    A step function: between two of its points a straight line would promise precision that no threshold has (Davis and
    Goadrich 2006, section 4).

    Attributes:
        recall: Ascending to 1, (k,).
        precision: At each recall, (k,).
        thresholds: Probability at or above which a row is called positive, (k,), descending.
        share: Share of positive rows: the precision of guessing.
        low: 2.5 % percentile of the resampled precision at recalls of :data:`~medsynth.metrics.roc.GRID`, (101,), or
            ``None`` where there is but one unit.
        high: 97.5 % percentile.
    """

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    share: float
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None

    def to_dict(self) -> dict[str, Any]:
        """Lists for JSON."""
        fields: dict[str, Any] = {
            name: getattr(self, name).round(6).tolist() for name in ("recall", "precision", "thresholds")
        }
        band = None
        if self.low is not None and self.high is not None:
            band = {"low": self.low.round(6).tolist(), "high": self.high.round(6).tolist()}
        return {**fields, "share": self.share, "band": band}


def precision_recall(rows: Rows, index: int, resampling: Resampling = RESAMPLING) -> PrecisionRecall | None:
    """The curve of one class; ``None`` where that class, or every other, has no row.

    Args:
        rows: Labels and probabilities.
        index: The class.
        resampling: Of the band; groups are resampled as a whole where there are some.
    """
    positive, scores = rows.labels == index, rows.probabilities[:, index]
    if positive.all() or not positive.any():
        return None
    false, true, thresholds = counts_above(positive, scores, np.ones((1, len(rows))))
    called = (false + true)[0, 1:]
    recall, precision = true[0, 1:] / true[0, -1], true[0, 1:] / called
    bands = [_band(*counts_above(positive, scores, weights)[:2]) for weights in resample(rows, resampling)]
    low, high = percentiles(np.concatenate(bands)) if bands else (None, None)
    # Behind the last positive row the curve falls on and finds nothing.
    last = int(np.argmax(recall >= 1.0)) + 1
    return PrecisionRecall(
        recall=recall[:last],
        precision=precision[:last],
        thresholds=thresholds[1 : last + 1],
        share=float(positive.mean()),
        low=low,
        high=high,
    )


def _band(false: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Precision of the highest threshold that reaches each recall of the grid, (b, 101); NaN without positive rows."""
    read = np.full((len(true), len(GRID)), np.nan)
    for line, hits, wrong in zip(read, true, false, strict=True):
        if hits[-1] > 0:
            # One call at least; a threshold above every score calls nothing and has no precision.
            first = int(np.argmax(hits + wrong > 0))
            at = np.maximum(np.searchsorted(hits / hits[-1], GRID - 1e-12), first)
            line[:] = hits[at] / (hits[at] + wrong[at])
    return read
