"""Metrics as pure functions on numpy arrays.

Every classification metric is a *statistic*: it takes validated :class:`Rows` and a block of row weights, and returns
one line of numbers per block row. The point estimate is the statistic at weights of one; a bootstrap resample is the
same statistic at the counts of the rows drawn. So a number and its interval can never come from two formulae.
"""

from __future__ import annotations

from medsynth.metrics.bootstrap import Estimate, Resampling, estimate
from medsynth.metrics.change import Change, compare_models
from medsynth.metrics.classification import (
    STATISTICS,
    Statistic,
    accuracy,
    auc,
    balanced_accuracy,
    confusion_matrix,
    f1,
    log_loss,
    precision,
    recall,
)
from medsynth.metrics.roc import Roc, area_under, roc_band, roc_curve, youden_threshold
from medsynth.metrics.rows import Rows, decide
from medsynth.metrics.scores import Scores, score

__all__ = [
    "STATISTICS",
    "Change",
    "Estimate",
    "Resampling",
    "Roc",
    "Rows",
    "Scores",
    "Statistic",
    "accuracy",
    "area_under",
    "auc",
    "balanced_accuracy",
    "compare_models",
    "confusion_matrix",
    "decide",
    "estimate",
    "f1",
    "log_loss",
    "precision",
    "recall",
    "roc_band",
    "roc_curve",
    "score",
    "youden_threshold",
]
