"""How alike images are, and how alike they must be to be more than two images of the same kind.

Slices of a chest all resemble each other, so no fixed number says "copy". The yardstick is the data set itself: pairs
of one class drawn at random (of different groups, where groups are known).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Yardstick", "alike_across", "likeness", "measure_random_pairs"]

_PAIRS = 20_000
_LEAST = 20
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Yardstick:
    """Correlation of random pairs of one class.

    Attributes:
        median: Their median.
        high: Their 99th percentile.
        copy: What unrelated images do not reach: six deviations above the median on Fisher's z = atanh(r) scale, on
            which correlations are nearly normal (deviation from the upper half, (z99 - z50) / 2.326), kept within
            0.90 to 0.995.
    """

    median: float
    high: float
    copy: float


def likeness(thumbs: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    """Pearson correlation of pairs of standardised thumbnails, in chunks: float64 (pairs,), -1 to 1."""
    chunks = [
        np.einsum("ij,ij->i", thumbs[first[at : at + _BLOCK]], thumbs[second[at : at + _BLOCK]])
        for at in range(0, len(first), _BLOCK)
    ]
    return np.concatenate([np.empty(0), *chunks])


def measure_random_pairs(
    thumbs: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64] | None
) -> Yardstick | None:
    """Correlations of up to 20,000 random pairs of one class that are no neighbours; ``None`` with fewer than 20 pairs.

    Args:
        thumbs: float32 (m, d), standardised, in natural order of names.
        labels: int64 (m,), class of each.
        groups: int64 (m,), group of each; pairs within a group are left out.
    """
    count = len(thumbs)
    drawn = np.random.default_rng(0).integers(0, max(1, count), (2 * _PAIRS, 2))
    first, second = np.unique(drawn[drawn[:, 0] < drawn[:, 1]], axis=0).T
    fit = (labels[first] == labels[second]) & (second - first > min(20, count // 8))
    if groups is not None:
        fit &= groups[first] != groups[second]
    if np.count_nonzero(fit) < _LEAST:
        return None
    found = likeness(thumbs, first[fit], second[fit])
    median, high = (float(level) for level in np.percentile(found, (50, 99)))
    middle, upper = np.arctanh(np.clip((median, high), -0.999, 0.999))
    return Yardstick(median, high, float(np.clip(np.tanh(middle + 6 * (upper - middle) / 2.326), 0.90, 0.995)))


def alike_across(
    thumbs: NDArray[np.float32], here: NDArray[np.int64], there: NDArray[np.int64], least: float
) -> Iterator[tuple[int, int, float]]:
    """Pairs (row of ``here``, row of ``there``, correlation) of at least ``least``; a block of products at a time."""
    others = thumbs[there].T
    for at in range(0, len(here), _BLOCK):
        block = thumbs[here[at : at + _BLOCK]] @ others
        for one, other in zip(*np.nonzero(block >= least), strict=True):
            yield int(here[at + one]), int(there[other]), float(block[one, other])
