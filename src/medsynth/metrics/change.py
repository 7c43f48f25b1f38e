"""How much a second model's decisions differ from a first one's on the same images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.metrics.bootstrap import RESAMPLING, Estimate, Resampling, percentiles, resample
from medsynth.metrics.calibration import calibration_error
from medsynth.metrics.classification import auc, recall

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.metrics.classification import Statistic
    from medsynth.metrics.rows import Rows

__all__ = ["Change", "calibration_error", "compare_models"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Second model against first, with paired 95 % bootstrap intervals.

    Attributes:
        images: How many were compared.
        units: What was resampled as a whole: that many images or groups.
        grouped: Whether units are groups.
        flipped: Images whose decision differs.
        flips: Their share. Where none flipped, the upper bound is 3 / units (the rule of three: Hanley and
            Lippman-Hand 1983, JAMA 249, 1743), because resampling zeros gives zero.
        auc: Second minus first; of the positive class, with more than two classes the macro mean.
        sensitivity: Likewise, at the operating threshold.
        calibration_error: Likewise, of :func:`medsynth.metrics.calibration_error`.
    """

    images: int
    units: int
    grouped: bool
    flipped: int
    flips: Estimate
    auc: Estimate
    sensitivity: Estimate
    calibration_error: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        estimates = ("flips", "auc", "sensitivity", "calibration_error")
        return {
            "images": self.images,
            "unit": "group" if self.grouped else "image",
            "units": self.units,
            "flipped": self.flipped,
            **{name: getattr(self, name).to_dict() for name in estimates},
        }


def compare_models(first: Rows, second: Rows, resampling: Resampling = RESAMPLING) -> Change:
    """Compare two models' probabilities for the same rows.

    Args:
        first: The reference.
        second: Made by ``first.with_probabilities``, so that both stand in one order.
        resampling: Number of resamples and seed.
    """
    differs = (first.predicted != second.predicted).astype(np.float64)

    def difference(statistic: Statistic) -> Estimate:
        return _estimate(
            first, lambda weights: (statistic(second, weights) - statistic(first, weights))[:, 0], resampling
        )

    flips = _estimate(first, lambda weights: weights @ differs / weights.sum(axis=1), resampling)
    units = int(first.units.max()) + 1
    if not differs.any():
        flips = Estimate(0.0, 0.0, min(1.0, 3.0 / units))
    return Change(
        images=len(first),
        units=units,
        grouped=first.grouped,
        flipped=int(differs.sum()),
        flips=flips,
        auc=difference(auc),
        sensitivity=difference(recall),
        calibration_error=difference(calibration_error),
    )


def _estimate(
    rows: Rows, measure: Callable[[NDArray[np.float64]], NDArray[np.float64]], resampling: Resampling
) -> Estimate:
    value = measure(np.ones((1, len(rows))))
    draws = [measure(weights)[:, None] for weights in resample(rows, resampling)]
    low, high = percentiles(np.concatenate(draws)) if draws else (np.array([np.nan]),) * 2
    return Estimate(*(float(number) if np.isfinite(number) else None for number in (value[0], low[0], high[0])))
