"""How far probabilities are from what happens: statistics, as in :mod:`medsynth.metrics.classification`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.metrics.rows import Rows

__all__ = ["brier", "calibration_error"]

_BINS = 15


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
    bins = np.minimum((rows.probabilities * _BINS).astype(np.int64), _BINS - 1)
    errors = []
    for index in range(rows.num_classes):
        member = (bins[:, index, None] == np.arange(_BINS)).astype(np.float64)
        gap = rows.probabilities[:, index] - (rows.labels == index)
        errors.append(np.abs((weights * gap) @ member).sum(axis=1) / weights.sum(axis=1))
    classes = np.stack(errors, axis=1)
    whole = classes.mean(axis=1) if rows.positive is None else classes[:, rows.positive]
    return np.column_stack([whole, classes])
