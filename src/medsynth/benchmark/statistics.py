"""What a list of latencies allows to be said."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["MIN_SAMPLES", "is_stable", "median", "median_interval", "ratio_interval", "upper_bound"]

MIN_SAMPLES = {90: 64, 95: 130, 99: 662}
"""Latencies that a percentile needs before it is published (MLCommons LoadGen's rule at 99 % confidence)."""

_CONFIDENCE = 0.99
_BLOCKS = 10
_RESAMPLES = 2000


def upper_bound(values: Sequence[float], percentile: int) -> float | None:
    """An upper bound of a percentile that holds with 99 % confidence, whatever the distribution.

    The smallest order statistic x(r) with P(Binomial(n, p) < r) >= 0.99: David and Nagaraja, Order Statistics (2003),
    section 7.1.

    Args:
        values: Latencies, in any order and unit.
        percentile: One of :data:`MIN_SAMPLES`.

    Returns:
        The bound; ``None`` where there are fewer values than :data:`MIN_SAMPLES` asks for.
    """
    n = len(values)
    if n < MIN_SAMPLES[percentile]:
        return None
    p = percentile / 100
    below = 0.0
    for r in range(n):
        below += math.exp(_log_choose(n, r) + r * math.log(p) + (n - r) * math.log1p(-p))
        if below >= _CONFIDENCE:
            return sorted(values)[r]
    return None


def is_stable(values: Sequence[float], *, windows: int = 3, within: float = 0.1) -> bool:
    """Whether latencies neither drift nor jump: the medians of equal windows differ by at most 10 %.

    Args:
        values: Latencies in the order in which they were measured.
        windows: Number of windows; the first values that do not fill one are left out.
        within: Largest difference between the slowest and the fastest window, as a fraction of the fastest.
    """
    size = len(values) // windows
    if size < 1:
        return False
    medians = [median(values[len(values) - (k + 1) * size : len(values) - k * size]) for k in range(windows)]
    return max(medians) <= (1 + within) * min(medians)


def ratio_interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    """Mean of ``a`` over mean of ``b`` (for latencies: the speed of B over that of A) with a 95 % bootstrap interval.

    Resampled are ten blocks of consecutive values, because neighbours are alike (Kuensch, Ann. Statist. 17, 1989).

    Returns:
        Ratio, lower end, upper end.
    """
    random = np.random.default_rng(0)
    means = []
    for values in (a, b):
        blocks = np.array_split(np.asarray(values, np.float64), min(_BLOCKS, len(values)))
        sums, counts = np.array([block.sum() for block in blocks]), np.array([len(block) for block in blocks])
        drawn = random.integers(len(blocks), size=(_RESAMPLES, len(blocks)))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    low, high = np.percentile(means[0] / means[1], (2.5, 97.5))
    return float(np.mean(a) / np.mean(b)), float(low), float(high)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    drawn = np.random.default_rng(0).choice(np.asarray(values, np.float64), (_RESAMPLES, len(values)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return float(low), float(high)


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _log_choose(n: int, r: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(r + 1) - math.lgamma(n - r + 1)
