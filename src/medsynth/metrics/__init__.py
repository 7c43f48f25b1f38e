"""Metrics as pure functions on numpy arrays.

Every classification metric is a *statistic*: it takes validated :class:`Rows` and a block of row weights, and returns
one line of numbers per block row. The point estimate is the statistic at weights of one; a bootstrap resample is the
same statistic at the counts of the rows drawn. So a number and its interval can never come from two formulae.

Distances between real and generated images are functions of two sets of features, whatever network made them; they
work block by block and do not depend on the order of rows.
"""

from __future__ import annotations

from medsynth.metrics.bootstrap import Estimate, Resampling, estimate
from medsynth.metrics.calibration import Reliability, brier, calibration_error, reliability
from medsynth.metrics.change import Change, compare_models
from medsynth.metrics.classification import (
    STATISTICS,
    Statistic,
    accuracy,
    auc,
    average_precision,
    balanced_accuracy,
    confusion_matrix,
    f1,
    log_loss,
    matthews,
    precision,
    recall,
)
from medsynth.metrics.features import jackknife_error
from medsynth.metrics.frechet import Moments, frechet_distance, frechet_from_moments, frechet_infinity
from medsynth.metrics.kernel import kernel_distance, kernel_distance_error
from medsynth.metrics.manifold import Manifold, expected_coverage, manifold_metrics
from medsynth.metrics.neighbours import Neighbours, nearest_neighbours
from medsynth.metrics.operating import OperatingPoint, operating_point
from medsynth.metrics.precision_recall import PrecisionRecall, precision_recall
from medsynth.metrics.privacy import Copies, authenticity, copying_test, find_copies, membership_auc, ranking_auc
from medsynth.metrics.roc import Roc, area_under, roc_band, roc_curve, youden_threshold
from medsynth.metrics.rows import Rows, decide
from medsynth.metrics.scores import Scores, score
from medsynth.metrics.vendi import vendi_score

__all__ = [
    "STATISTICS",
    "Change",
    "Copies",
    "Estimate",
    "Manifold",
    "Moments",
    "Neighbours",
    "OperatingPoint",
    "PrecisionRecall",
    "Reliability",
    "Resampling",
    "Roc",
    "Rows",
    "Scores",
    "Statistic",
    "accuracy",
    "area_under",
    "auc",
    "authenticity",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "calibration_error",
    "compare_models",
    "confusion_matrix",
    "copying_test",
    "decide",
    "estimate",
    "expected_coverage",
    "f1",
    "find_copies",
    "frechet_distance",
    "frechet_from_moments",
    "frechet_infinity",
    "jackknife_error",
    "kernel_distance",
    "kernel_distance_error",
    "log_loss",
    "manifold_metrics",
    "matthews",
    "membership_auc",
    "nearest_neighbours",
    "operating_point",
    "precision",
    "precision_recall",
    "ranking_auc",
    "recall",
    "reliability",
    "roc_band",
    "roc_curve",
    "score",
    "vendi_score",
    "youden_threshold",
]
