"""How alike images are, and how alike they must be to be more than two images of the same kind.

Slices of a chest all resemble each other, so no fixed number says "copy". The yardstick is the data set itself: pairs
of one class drawn at random (of different groups, where groups are known).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Yardstick", "likeness", "measure_random_pairs", "standardise"]

_PAIRS = 20_000
_LEAST = 20
_CHUNK = 1024


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


def standardise(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Thumbnails (n, d) with mean 0 and Euclidean norm 1, so that the product of two is their Pearson correlation.

    A flat image becomes all zeros.
    """
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-3)
    return flat


def likeness(thumbs: NDArray[np.uint8], first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    """Pearson correlation of pairs of thumbnails, in chunks: float64 (pairs,), -1 to 1.

    Args:
        thumbs: uint8 (m, d).
        first: Rows, (pairs,).
        second: Rows, (pairs,).
    """
    chunks = [
        np.einsum("ij,ij->i", *(standardise(thumbs[rows[at : at + _CHUNK]]) for rows in (first, second)))
        for at in range(0, len(first), _CHUNK)
    ]
    return np.concatenate([np.empty(0), *chunks])


def measure_random_pairs(
    thumbs: NDArray[np.uint8], labels: NDArray[np.int64], groups: NDArray[np.int64] | None
) -> Yardstick | None:
    """Correlations of up to 20,000 random pairs of one class that are no neighbours; ``None`` with fewer than 20 pairs.

    Args:
        thumbs: uint8 (m, d), in natural order of names.
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
