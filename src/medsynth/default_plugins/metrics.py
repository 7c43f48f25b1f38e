"""The classification metrics as plugins: :data:`medsynth.metrics.STATISTICS` through the public door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from medsynth.errors import DataError
from medsynth.metrics import STATISTICS, Resampling, Rows, estimate
from medsynth.plugins import Metric, MetricInput, Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "AUC",
    "F1",
    "MCC",
    "Accuracy",
    "AveragePrecision",
    "BalancedAccuracy",
    "Brier",
    "CalibrationError",
    "LogLoss",
    "Precision",
    "Recall",
]


class _ClassifierMetric(Metric):
    """A metric of probabilities against true classes, with a 95 % bootstrap interval over images.

    Args:
        positive: Index of the positive class of a binary task; ``None``: the last one.
        threshold: Probability of the positive class at or above which a binary task decides for it.
        resamples: Bootstrap resamples; 0 for no interval.
        seed: Of the resamples.
    """

    inputs: ClassVar[MetricInput] = "probabilities"
    higher_is_better: ClassVar[bool | None] = True
    statistic: ClassVar[str]

    def __init__(
        self, *, positive: int | None = None, threshold: float = 0.5, resamples: int = 1000, seed: int = 0
    ) -> None:
        self.positive, self.threshold = positive, threshold
        self.resampling = Resampling(resamples=resamples, seed=seed)
        self.reset()

    def reset(self) -> None:
        """Forget every update."""
        self._labels: list[NDArray[np.int64]] = []
        self._probabilities: list[NDArray[Any]] = []

    def update(
        self,
        reference: NDArray[Any],  # noqa: ARG002
        candidate: NDArray[Any],
        *,
        reference_labels: NDArray[np.int64] | None = None,
        candidate_labels: NDArray[np.int64] | None = None,  # noqa: ARG002
    ) -> None:
        """Take probabilities (n, classes) as candidate and the true classes (n,) as ``reference_labels``."""
        if len(candidate) == 0:
            return
        if reference_labels is None or len(reference_labels) != len(candidate):
            got = "none" if reference_labels is None else len(reference_labels)
            raise DataError(
                f"metric '{self.name}' needs reference_labels, the true class of each of {len(candidate)} rows. "
                f"Got {got}."
            )
        self._labels.append(np.array(reference_labels))
        self._probabilities.append(np.array(candidate))

    def compute(self) -> Result:
        """The metric of the positive class (binary) or the macro mean, and of each class against the rest.

        Raises:
            medsynth.errors.DataError: No rows, probabilities that are none, or (AUC, recall) a class without rows.
        """
        if not self._labels:
            raise DataError(f"metric '{self.name}' needs at least one row of probabilities. Got none.")
        rows = Rows.of(
            np.concatenate(self._labels),
            np.concatenate(self._probabilities),
            positive=self.positive,
            threshold=self.threshold,
        )
        whole, classes = estimate(rows, STATISTICS[self.statistic], self.resampling)
        if whole.value is None:
            present = ", ".join(map(str, np.unique(rows.labels)))
            raise DataError(f"metric '{self.name}' is not defined where a class has no rows. Got only class {present}.")
        return Result(
            value=whole.value,
            low=whole.low,
            high=whole.high,
            per_class={index: one.value for index, one in enumerate(classes) if one.value is not None},
        )


class Accuracy(_ClassifierMetric):
    """Share of correct decisions."""

    name = statistic = "accuracy"


class BalancedAccuracy(_ClassifierMetric):
    """Mean recall of the classes: accuracy as if every class were equally frequent."""

    name = "balanced-accuracy"
    statistic = "balanced_accuracy"


class F1(_ClassifierMetric):
    """Harmonic mean of precision and recall."""

    name = statistic = "f1"


class Precision(_ClassifierMetric):
    """Share of the calls for a class that are right (positive predictive value)."""

    name = statistic = "precision"


class Recall(_ClassifierMetric):
    """Share of the images of a class that are found (sensitivity)."""

    name = statistic = "recall"


class AUC(_ClassifierMetric):
    """Probability that an image of the class scores higher than one of another (area under the ROC curve)."""

    name = statistic = "auc"


class LogLoss(_ClassifierMetric):
    """Mean of -ln of the probability given to the true class: 0 is perfect, ln(classes) is guessing."""

    name = "log-loss"
    statistic = "loss"
    higher_is_better = False


class AveragePrecision(_ClassifierMetric):
    """Mean precision over recall; the share of the class is what guessing gets."""

    name = "average-precision"
    statistic = "average_precision"


class MCC(_ClassifierMetric):
    """Correlation of truth and decision (Matthews): 1 is perfect, 0 is guessing."""

    name = statistic = "mcc"


class Brier(_ClassifierMetric):
    """Squared error of the probabilities."""

    name = statistic = "brier"
    higher_is_better = False


class CalibrationError(_ClassifierMetric):
    """How far probabilities are from frequencies, in 15 bins."""

    name = "calibration-error"
    statistic = "calibration_error"
    higher_is_better = False
