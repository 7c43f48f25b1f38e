"""All classification metrics of one set of predictions, with intervals, in one pass over the resamples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.metrics.bootstrap import RESAMPLING, Estimate, Resampling, estimate, percentiles, resample
from medsynth.metrics.classification import STATISTICS, confusion_matrix
from medsynth.metrics.roc import Roc, roc_band, roc_curve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.metrics.rows import Rows

__all__ = ["Scores", "score"]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Scores:
    """What a classifier's predictions are worth.

    Attributes:
        overall: Each metric of :data:`medsynth.metrics.STATISTICS`; of a binary task's positive class, else macro.
        per_class: The same for each class against the rest.
        confusion: Counts (c, c), true classes down, decided ones across.
        roc: Curve of each class against the rest; ``None`` for a class that has no images, or all.
        images: Rows that were scored.
        units: What was resampled as a whole: that many images or groups.
        grouped: Whether units are groups.
        positive: Index of the positive class of a binary task.
        threshold: Threshold of its decision.
        resampling: How the intervals were made.
    """

    overall: Mapping[str, Estimate]
    per_class: Mapping[str, tuple[Estimate, ...]]
    confusion: NDArray[np.int64]
    roc: tuple[Roc | None, ...]
    images: int
    units: int
    grouped: bool
    positive: int | None
    threshold: float | None
    resampling: Resampling

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; curves as lists, thresholds without the infinite first one."""
        return {
            "images": self.images,
            "positive": self.positive,
            "threshold": self.threshold,
            "interval": {
                "level": 0.95,
                "method": "percentile bootstrap",
                "unit": "group" if self.grouped else "image",
                "units": self.units,
                "resamples": self.resampling.resamples,
                "seed": self.resampling.seed,
            },
            "overall": {name: value.to_dict() for name, value in self.overall.items()},
            "per_class": {name: [value.to_dict() for value in values] for name, values in self.per_class.items()},
            "confusion": self.confusion.tolist(),
            "roc": [None if curve is None else _curve(curve) for curve in self.roc],
        }


def score(rows: Rows, resampling: Resampling = RESAMPLING) -> Scores:
    """Every metric of :data:`medsynth.metrics.STATISTICS`, the confusion matrix and the ROC curves.

    Args:
        rows: Labels and probabilities of a classifier.
        resampling: Number of resamples and seed.
    """
    estimates = {name: estimate(rows, statistic, resampling) for name, statistic in STATISTICS.items()}
    return Scores(
        overall={name: whole for name, (whole, _) in estimates.items()},
        per_class={name: classes for name, (_, classes) in estimates.items()},
        confusion=np.rint(confusion_matrix(rows, np.ones((1, len(rows))))[0]).astype(np.int64),
        roc=tuple(_roc(rows, index, resampling) for index in range(rows.num_classes)),
        images=len(rows),
        units=int(rows.units.max()) + 1,
        grouped=rows.grouped,
        positive=rows.positive,
        threshold=rows.threshold,
        resampling=resampling,
    )


def _roc(rows: Rows, index: int, resampling: Resampling) -> Roc | None:
    positive, scores = rows.labels == index, rows.probabilities[:, index]
    if positive.all() or not positive.any():
        return None
    (fpr,), (tpr,), thresholds = roc_curve(positive, scores, np.ones((1, len(rows))))
    bands = [roc_band(*roc_curve(positive, scores, weights)[:2]) for weights in resample(rows, resampling)]
    low, high = percentiles(np.concatenate(bands)) if bands else (None, None)
    if low is not None and np.isnan(low).any():
        low, high = None, None
    # Points on a straight run add nothing to the curve.
    corners = np.concatenate([[True], (abs(np.diff(fpr, 2)) + abs(np.diff(tpr, 2)) > 1e-12), [True]])
    return Roc(fpr=fpr[corners], tpr=tpr[corners], thresholds=thresholds[corners], band_low=low, band_high=high)


def _curve(curve: Roc) -> dict[str, Any]:
    band = None
    if curve.band_low is not None and curve.band_high is not None:
        band = {"low": curve.band_low.round(6).tolist(), "high": curve.band_high.round(6).tolist()}
    return {
        "fpr": curve.fpr.round(6).tolist(),
        "tpr": curve.tpr.round(6).tolist(),
        "thresholds": [None, *curve.thresholds[1:].round(6).tolist()],
        "band": band,
    }
