"""Classification metrics as statistics: from rows and a block of weights to numbers.

A statistic returns (b, 1 + c) float64 for weights (b, n): column 0 is the metric of the whole task, column 1 + i that
of class i against the rest. The metric of the whole is that of the positive class for a binary task, and the unweighted
mean over classes ("macro") for more. NaN stands where a value is not defined: the recall and AUC of a class without
images, and everything of a class that neither occurs nor is predicted. The macro mean leaves such classes out.
Precision is 0 for a class that occurs and is never predicted, as in scikit-learn with ``zero_division=0``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from medsynth.metrics.calibration import brier, calibration_error
from medsynth.metrics.roc import area_under, roc_curve, step_area

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.metrics.rows import Rows

__all__ = [
    "STATISTICS",
    "Statistic",
    "accuracy",
    "auc",
    "average_precision",
    "balanced_accuracy",
    "confusion_matrix",
    "f1",
    "log_loss",
    "matthews",
    "precision",
    "recall",
]

Statistic: TypeAlias = "Callable[[Rows, NDArray[np.float64]], NDArray[np.float64]]"

_SMALLEST = float(np.finfo(np.float32).eps)


def confusion_matrix(rows: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted counts (b, c, c): first axis after b the true class, second the decided one."""
    cells = np.zeros((len(rows), rows.num_classes**2))
    cells[np.arange(len(rows)), rows.labels * rows.num_classes + rows.predicted] = 1.0
    return (weights @ cells).reshape(-1, rows.num_classes, rows.num_classes)


def log_loss(rows: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of -ln p(true class); of a class: the mean over its own images.

    Probabilities below the resolution of float32 (1.2e-7) count as that, so that one image costs at most 15.9.
    """
    losses = -np.log(np.clip(rows.probabilities[np.arange(len(rows)), rows.labels], _SMALLEST, 1.0))
    classes = np.stack([_mean(losses, weights * (rows.labels == index)) for index in range(rows.num_classes)], axis=1)
    return np.column_stack([_mean(losses, weights), classes])


def accuracy(rows: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of correct decisions; of a class: of the decisions "this class or not"."""
    confusion = confusion_matrix(rows, weights)
    total = confusion.sum(axis=(1, 2))[:, None]
    hits, missed, wrong = _outcomes(confusion)
    return np.column_stack([_ratio(hits.sum(axis=1, keepdims=True), total), 1 - _ratio(missed + wrong, total)])


def balanced_accuracy(rows: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean recall of the classes; of a class: the mean of its sensitivity and its specificity."""
    confusion = confusion_matrix(rows, weights)
    hits, missed, wrong = _outcomes(confusion)
    sensitivity = _ratio(hits, hits + missed)
    others = confusion.sum(axis=(1, 2))[:, None] - hits - missed
    return np.column_stack([_macro(sensitivity), (sensitivity + _ratio(others - wrong, others)) / 2])


def precision(rows: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """TP / (TP + FP), also positive predictive value."""
    hits, missed, wrong = _outcomes(confusion_matrix(rows, weights))
    share = _ratio(hits, hits + wrong)
    return _with_whole(rows, np.where((hits + wrong == 0) & (missed > 0), 0.0, share))


def recall(rows: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """TP / (TP + FN), also sensitivity."""
    hits, missed, _ = _outcomes(confusion_matrix(rows, weights))
    return _with_whole(rows, _ratio(hits, hits + missed))


def f1(rows: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall."""
    hits, missed, wrong = _outcomes(confusion_matrix(rows, weights))
    return _with_whole(rows, _ratio(2 * hits, 2 * hits + missed + wrong))


def auc(rows: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area under the ROC curve, one class against the rest; see :func:`medsynth.metrics.roc.area_under`."""
    areas = [
        area_under(*roc_curve(rows.labels == index, rows.probabilities[:, index], weights)[:2])
        for index in range(rows.num_classes)
    ]
    return _with_whole(rows, np.stack(areas, axis=1))


def average_precision(rows: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean precision over recall, one class against the rest; see :func:`medsynth.metrics.roc.step_area`."""
    areas = [
        step_area(rows.labels == index, rows.probabilities[:, index], weights) for index in range(rows.num_classes)
    ]
    return _with_whole(rows, np.stack(areas, axis=1))


def matthews(rows: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of truth and decision (Matthews 1975; for more classes Gorodkin 2004, Comput. Biol. Chem. 28, 367).

    1 is perfect, 0 guessing. 0 where one class alone was decided for, as in scikit-learn; not defined where one class
    alone occurs.
    """
    confusion = confusion_matrix(rows, weights)
    hits, missed, wrong = _outcomes(confusion)
    total = confusion.sum(axis=(1, 2))
    true, decided = hits + missed, hits + wrong
    classes = _correlation(
        total[:, None] * hits - true * decided,
        true * (total[:, None] - true),
        decided * (total[:, None] - decided),
    )
    whole = _correlation(
        total * hits.sum(axis=1) - (true * decided).sum(axis=1),
        total**2 - (true**2).sum(axis=1),
        total**2 - (decided**2).sum(axis=1),
    )
    return np.column_stack([whole, classes])


STATISTICS: Mapping[str, Statistic] = MappingProxyType(
    {
        "loss": log_loss,
        "accuracy": accuracy,
        "balanced_accuracy": balanced_accuracy,
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "auc": auc,
        "average_precision": average_precision,
        "mcc": matthews,
        "brier": brier,
        "calibration_error": calibration_error,
    }
)
"""Every classification metric by the key that it has in ``metrics.json``, in the order of the tables."""


def _outcomes(
    confusion: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """True positives, false negatives and false positives of each class, (b, c) each."""
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    return hits, confusion.sum(axis=2) - hits, confusion.sum(axis=1) - hits


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def _mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return _ratio(weights @ values, weights.sum(axis=1))


def _macro(classes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the classes that have a value."""
    return _ratio(np.nansum(classes, axis=1), np.isfinite(classes).sum(axis=1).astype(np.float64))


def _correlation(
    covariance: NDArray[np.float64], true: NDArray[np.float64], decided: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of truth and decision, from what is proportional to their covariance and variances."""
    root = np.sqrt(true) * np.sqrt(decided)
    return np.where(true > 0, np.divide(covariance, root, out=np.zeros_like(root), where=root > 0), np.nan)


def _with_whole(rows: Rows, classes: NDArray[np.float64]) -> NDArray[np.float64]:
    whole = _macro(classes) if rows.positive is None else classes[:, rows.positive]
    return np.column_stack([whole, classes])
