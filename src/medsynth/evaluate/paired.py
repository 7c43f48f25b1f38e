"""What one way of training gains over another: trained and tested on the same draws.

Interval and p-value come from one bootstrap over test units and seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.metrics import Estimate, Rows, auc, balanced_accuracy
from medsynth.metrics.bootstrap import Resampling, percentiles, resample

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PairedScores", "paired_scores"]

_NO_NUMBER = Estimate(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedScores:
    """Means over the seeds.

    Attributes:
        auc: With more than two classes the mean over classes.
        balanced_accuracy: Likewise.
        gain: In AUC over the others; without a value where there are none.
        p: Two-sided, of no gain.
    """

    auc: Estimate
    balanced_accuracy: Estimate
    gain: Estimate = _NO_NUMBER
    p: float | None = None


def paired_scores(rows: list[Rows], others: list[Rows] | None, resampling: Resampling) -> PairedScores:
    """Score the answers of every seed, and their gain over others.

    Args:
        rows: What was answered after training with each seed, about the same images.
        others: What was answered after another training with these seeds; ``None``: nothing to compare with.
        resampling: Of the intervals.
    """
    statistics = {"auc": auc, "balanced_accuracy": balanced_accuracy}
    draws: dict[str, list[NDArray[np.float64]]] = {"auc": [], "balanced_accuracy": [], "gain": []}

    def measure(statistic: Any, which: list[Rows], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([statistic(each, _reordered(weights, rows[0], each))[:, 0] for each in which])

    def collect(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        found = {name: measure(statistic, rows, weights) for name, statistic in statistics.items()}
        if others is not None:
            found["gain"] = found["auc"] - measure(auc, others, weights)
        return found

    point = {name: float(values.mean()) for name, values in collect(np.ones((1, len(rows[0])))).items()}
    stream = np.random.Philox(key=np.array([resampling.seed, 2**63], np.uint64))
    for weights in resample(rows[0], resampling):
        chosen = (stream.random_raw(len(weights) * len(rows)) % len(rows)).astype(np.int64)
        chosen = chosen.reshape(len(rows), len(weights))
        for name, values in collect(weights).items():
            draws[name].append(np.take_along_axis(values, chosen, axis=0).mean(axis=0))
    found = {name: _estimate(value, draws[name]) for name, value in point.items()}
    return PairedScores(
        auc=found["auc"],
        balanced_accuracy=found["balanced_accuracy"],
        gain=found.get("gain", _NO_NUMBER),
        p=_p_value(draws["gain"]),
    )


def _reordered(weights: NDArray[np.float64], base: Rows, other: Rows) -> NDArray[np.float64]:
    """Weights of one model's rows in the order of another's, which has the same images."""
    given = np.empty_like(weights)
    given[:, base.order] = weights
    return given[:, other.order]


def _estimate(value: float, draws: list[NDArray[np.float64]]) -> Estimate:
    if not draws:
        return Estimate(value)
    low, high = percentiles(np.concatenate(draws)[:, None])
    return Estimate(value, float(low[0]), float(high[0])) if np.isfinite([low[0], high[0]]).all() else Estimate(value)


def _p_value(draws: list[NDArray[np.float64]]) -> float | None:
    """Twice the smaller share of draws on one side of 0 (Efron and Tibshirani 1993, section 15.4), never 0."""
    if not draws:
        return None
    gains = np.concatenate(draws)
    gains = gains[np.isfinite(gains)]
    sides = [(1 + int((gains <= 0).sum())) / (1 + len(gains)), (1 + int((gains >= 0).sum())) / (1 + len(gains))]
    return min(1.0, 2 * min(sides))
