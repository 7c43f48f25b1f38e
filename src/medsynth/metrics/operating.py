"""What a threshold means at the prevalence of the place where it is used."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import ConfigError, DataError
from medsynth.metrics.bootstrap import RESAMPLING, Estimate, Resampling, percentiles, resample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.metrics.rows import Rows

__all__ = ["OperatingPoint", "check_prevalence", "operating_point"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A binary decision "positive at or above a threshold", each number with its interval.

    Attributes:
        threshold: Probability of the positive class.
        prevalence: Share of positive cases that ``ppv``, ``npv`` and ``called`` are stated for.
        sensitivity: Share of positive rows that are called.
        specificity: Share of the other rows that are not called.
        ppv: Share of the calls that are right, at that prevalence.
        npv: Share of what is not called that is rightly so, at that prevalence.
        called: Share of all cases that are called, at that prevalence.
    """

    threshold: float
    prevalence: float
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    called: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def operating_point(
    rows: Rows, threshold: float, prevalence: float, resampling: Resampling = RESAMPLING
) -> OperatingPoint:
    """Sensitivity and specificity, and by Bayes' rule what they are worth at a prevalence.

    PPV = p s / (p s + (1 - p)(1 - t)) and NPV = (1 - p) t / ((1 - p) t + p (1 - s)) with sensitivity s, specificity t
    and prevalence p (Altman and Bland 1994, BMJ 309, 102). The prevalence is held fixed in the resamples.

    Args:
        rows: A binary task.
        threshold: Probability of the positive class from which on it is called.
        prevalence: Above 0 and below 1.
        resampling: Of the intervals; groups are resampled as a whole where there are some.

    Raises:
        ConfigError: The prevalence is not between 0 and 1.
        DataError: The task is not binary.
    """
    check_prevalence(prevalence)
    if rows.positive is None:
        raise DataError(f"operating points need two classes. Got {rows.num_classes}.")
    positive, called = rows.labels == rows.positive, rows.probabilities[:, rows.positive] >= threshold
    if threshold == rows.threshold:
        called = rows.predicted == rows.positive  # As it was decided, in the dtype of the model.
    cells = np.stack([positive, positive & called, ~positive, ~positive & ~called], axis=1).astype(np.float64)
    point = _shares(np.ones((1, len(rows))) @ cells, prevalence)[0]
    draws = [_shares(weights @ cells, prevalence) for weights in resample(rows, resampling)]
    low, high = percentiles(np.concatenate(draws)) if draws else (np.full(5, np.nan),) * 2
    names = ("sensitivity", "specificity", "ppv", "npv", "called")
    estimates = {
        name: Estimate(*(float(value) if np.isfinite(value) else None for value in values))
        for name, *values in zip(names, point, low, high, strict=True)
    }
    return OperatingPoint(threshold=threshold, prevalence=prevalence, **estimates)


def check_prevalence(prevalence: float | None) -> None:
    """Refuse a prevalence that is none.

    Raises:
        ConfigError: It is not between 0 and 1.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise ConfigError(f"prevalence must be above 0 and below 1. Got {prevalence}.")


def _shares(counts: NDArray[np.float64], prevalence: float) -> NDArray[np.float64]:
    """From counts (b, 4) of positive, found, other and left alone to the five shares (b, 5); NaN where undefined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, specificity = counts[:, 1] / counts[:, 0], counts[:, 3] / counts[:, 2]
        found, false = prevalence * sensitivity, (1 - prevalence) * (1 - specificity)
        spared, missed = (1 - prevalence) * specificity, prevalence * (1 - sensitivity)
        return np.stack(
            [sensitivity, specificity, found / (found + false), spared / (spared + missed), found + false], axis=1
        )
