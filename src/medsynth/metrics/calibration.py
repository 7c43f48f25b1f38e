"""How far probabilities are from what happens: statistics, as in :mod:`medsynth.metrics.classification`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.metrics.bootstrap import RESAMPLING, Resampling, percentiles, resample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.metrics.rows import Rows

__all__ = ["Reliability", "brier", "calibration_error", "reliability"]

_BINS = 15


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Reliability:
    """How often a class occurs where it is given a probability, over equal bins of that probability.

    Attributes:
        edges: Ends of the bins, (bins + 1,).
        counts: Rows in each bin, int64 (bins,).
        mean: Mean probability in each bin, (bins,); NaN where it is empty.
        frequency: Share of the class in each bin, (bins,); NaN where it is empty.
        low: 2.5 % percentile of the resampled frequency, (bins,); NaN where fewer than half of the resamples reach it.
        high: 97.5 % percentile.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    mean: NDArray[np.float64]
    frequency: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """Lists for JSON, ``None`` for what an empty bin does not have."""
        return {
            name: [None if np.isnan(value) else round(value, 6) for value in getattr(self, name).tolist()]
            for name in self.__slots__
        }


def reliability(rows: Rows, index: int, resampling: Resampling = RESAMPLING) -> Reliability:
    """The reliability diagram of one class against the rest (Murphy and Winkler 1977, Appl. Stat. 26, 41).

    Its bins are those of :func:`calibration_error`: their gaps, weighted by their counts, sum to that.

    Args:
        rows: Labels and probabilities.
        index: The class.
        resampling: Of the intervals; groups are resampled as a whole where there are some.
    """
    member = _members(rows.probabilities[:, index])
    counts = member.sum(axis=0)
    occurs = member * (rows.labels == index)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        draws = [(weights @ occurs) / (weights @ member) for weights in resample(rows, resampling)]
        mean, frequency = rows.probabilities[:, index] @ member / counts, occurs.sum(axis=0) / counts
    low, high = percentiles(np.concatenate(draws)) if draws else (np.full(_BINS, np.nan),) * 2
    return Reliability(
        edges=np.linspace(0.0, 1.0, _BINS + 1),
        counts=counts.astype(np.int64),
        mean=mean,
        frequency=frequency,
        low=low,
        high=high,
    )


def brier(rows: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean squared difference of a class's probability and its occurrence (Brier 1950, Mon. Weather Rev. 78, 1).

    The whole is that of the positive class for a binary task (0 to 1), else the sum over classes (0 to 2), as Brier
    defined it and scikit-learn has it.
    """
    true = rows.labels[:, None] == np.arange(rows.num_classes)
    classes = (weights @ (rows.probabilities - true) ** 2) / weights.sum(axis=1, keepdims=True)
    whole = classes.sum(axis=1) if rows.positive is None else classes[:, rows.positive]
    return np.column_stack([whole, classes])


def calibration_error(rows: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected calibration error of each class against the rest.

    Mean over 15 equal bins of the class's probability, weighted by their images, of |mean probability - frequency of
    the class| (Nixon et al. 2019, arXiv 1904.01685, equation 3: static calibration error). The whole is that of the
    positive class for a binary task, else the mean over classes. Never 0 for a finite sample: with n images, about
    0.8 sqrt(p (1 - p) / n) for each bin is chance.
    """
    errors = []
    for index in range(rows.num_classes):
        member = _members(rows.probabilities[:, index])
        gap = rows.probabilities[:, index] - (rows.labels == index)
        errors.append(np.abs((weights * gap) @ member).sum(axis=1) / weights.sum(axis=1))
    classes = np.stack(errors, axis=1)
    whole = classes.mean(axis=1) if rows.positive is None else classes[:, rows.positive]
    return np.column_stack([whole, classes])


def _members(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Which bin each probability lies in, (n, bins) of 0 and 1."""
    bins = np.minimum((probabilities * _BINS).astype(np.int64), _BINS - 1)
    return np.asarray(bins[:, None] == np.arange(_BINS), np.float64)
