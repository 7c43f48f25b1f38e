"""95 % bootstrap intervals: images, or whole groups, drawn with replacement.

The percentile method (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). A resample is a row of
counts, so that one matrix product or cumulative sum serves a thousand resamples. Units are drawn within strata, one per
class (of a group: its most frequent class), wherever every stratum has two units or more; otherwise over all units, and
resamples in which a metric is not defined are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.metrics.classification import Statistic
    from medsynth.metrics.rows import Rows

__all__ = ["RESAMPLING", "Estimate", "Resampling", "estimate", "percentiles", "resample"]

_BLOCK = 2_000_000
"""Weights held at a time (16 MB)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its 95 % interval; ``None`` where it is not defined (the AUC of one class alone)."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """``value``, ``low``, ``high``."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How intervals are made.

    Attributes:
        resamples: How many; 0 for no intervals.
        seed: Not negative, below 2**64; the same seed and rows, the same intervals, whatever the order of rows.
    """

    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 0:
            raise ConfigError(f"resamples must be 0 or more. Got {self.resamples}.")
        if not 0 <= self.seed < 2**64:
            raise ConfigError(f"seed must be from 0 to 2**64 - 1. Got {self.seed}.")


RESAMPLING = Resampling()
"""1000 resamples from seed 0."""


def estimate(
    rows: Rows, statistic: Statistic, resampling: Resampling = RESAMPLING
) -> tuple[Estimate, tuple[Estimate, ...]]:
    """A metric of the whole task and of each class, with intervals.

    Args:
        rows: Labels and probabilities.
        statistic: One of :data:`medsynth.metrics.STATISTICS`, or a function like them.
        resampling: Number of resamples and seed.
    """
    point = statistic(rows, np.ones((1, len(rows))))[0]
    draws = [statistic(rows, weights) for weights in resample(rows, resampling)]
    low, high = percentiles(np.concatenate(draws)) if draws else (np.full_like(point, np.nan),) * 2
    whole, *classes = (
        Estimate(_number(value), _number(left), _number(right))
        for value, left, right in zip(point, low, high, strict=True)
    )
    return whole, tuple(classes)


def resample(rows: Rows, resampling: Resampling) -> Iterator[NDArray[np.float64]]:
    """Blocks of row weights (b, n); together ``resamples`` lines, or none where there is but one unit."""
    count = int(rows.units.max()) + 1
    if count < 2:
        return
    strata = _strata(rows, count)
    # One stream of raw words per stratum: neither the size of a block nor numpy's version changes what is drawn.
    streams = [np.random.Philox(key=np.array([resampling.seed, index], np.uint64)) for index in range(len(strata))]
    block = max(1, _BLOCK // len(rows))
    for start in range(0, resampling.resamples, block):
        size = min(block, resampling.resamples - start)
        drawn = np.empty((size, count))
        for members, stream in zip(strata, streams, strict=True):
            drawn[:, members] = _counts(stream, size, len(members))
        yield drawn[:, rows.units]


def percentiles(draws: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """2.5 % and 97.5 % percentiles over the first axis, of the defined draws; NaN where fewer than half are."""
    defined = np.isfinite(draws)
    enough = 2 * defined.sum(axis=0) >= len(draws)
    low, high = np.full((2, *draws.shape[1:]), np.nan)
    if enough.any():
        low[enough], high[enough] = np.nanpercentile(np.where(defined, draws, np.nan)[:, enough], (2.5, 97.5), axis=0)
    return low, high


def _strata(rows: Rows, count: int) -> list[NDArray[np.int64]]:
    """Units of each stratum."""
    classes = np.zeros((count, rows.num_classes), np.int64)
    np.add.at(classes, (rows.units, rows.labels), 1)
    by_class = classes.argmax(axis=1)
    strata = [np.flatnonzero(by_class == index) for index in np.unique(by_class)]
    return strata if min(map(len, strata)) >= 2 else [np.arange(count)]


def _counts(stream: np.random.Philox, size: int, members: int) -> NDArray[np.int64]:
    """How often each of ``members`` units is drawn in each of ``size`` resamples of as many draws."""
    drawn = (stream.random_raw(size * members) % members).reshape(size, members).astype(np.int64)
    drawn += np.arange(size)[:, None] * members
    return np.bincount(drawn.ravel(), minlength=size * members).reshape(size, members)


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
