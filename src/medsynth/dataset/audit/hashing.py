"""Pairs of nearly the same image among many, found by a perceptual hash and confirmed on pixels.

The hash has 128 bits, one for each of the lowest frequencies of a 32x32 picture's cosine transform: whether its
coefficient is above the median of the data set. (The usual perceptual hash takes the median within the image
[Zauner 2010, section 3.2.1]; chests would then share most of their bits. Medians over the data set balance each bit.)
All pairs are compared by XOR and popcount, a block at a time: 5e9 of them for 100,000 images, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.audit.likeness import likeness, standardise

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RADIUS", "close_pairs", "perceptual_hashes"]

RADIUS = 32
"""Bits of 128 in which near duplicates may differ. Of all pairs above the data set's own limit (see
:class:`~medsynth.dataset.audit.likeness.Yardstick`) on real CT slices, chest X-rays and the phantom, the farthest
differed in 30; of random pairs, one in 300 is as near, and the check on pixels drops it."""

_SIDE = 32
_BITS = 128
_CHUNK = 1024
_BLOCK = 128
_MOST = 1_000_000


def perceptual_hashes(thumbs: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """128-bit hashes of square thumbnails, uint8 (m, side * side) with a side that 32 divides: uint64 (m, 2)."""
    side = round(thumbs.shape[1] ** 0.5)
    step = side // _SIDE
    basis = _cosines()
    values = np.empty((len(thumbs), _BITS), np.float32)
    for at in range(0, len(thumbs), _CHUNK):
        chunk = standardise(thumbs[at : at + _CHUNK])
        small = chunk.reshape(-1, _SIDE, step, _SIDE, step).mean(axis=(2, 4))
        values[at : at + _CHUNK] = small.reshape(len(chunk), -1) @ basis
    bits = values > np.median(values, axis=0) if len(values) else values > 0
    return np.packbits(bits, axis=1).view(np.uint64)


def close_pairs(thumbs: NDArray[np.uint8], rows: NDArray[np.int64], least: float) -> Iterator[tuple[int, int, float]]:
    """Pairs (first, second, correlation) among ``rows`` whose correlation is at least ``least``; at most a million.

    Args:
        thumbs: uint8 (m, side * side).
        rows: Rows of ``thumbs`` to compare with each other, ascending.
        least: Correlation from which a pair counts.
    """
    # Flat images resemble nothing, and would all have one hash.
    rows = rows[np.array([np.ptp(thumbs[row]) > 0 for row in rows], bool)]
    hashes = perceptual_hashes(thumbs[rows])
    high, low = (np.ascontiguousarray(column) for column in hashes.T)
    left = _MOST
    for at in range(0, len(rows), _BLOCK):
        here = slice(at, at + _BLOCK)
        apart = np.bitwise_count(high[here, None] ^ high[None, at:])
        apart += np.bitwise_count(low[here, None] ^ low[None, at:])
        one, other = np.nonzero(np.triu(apart <= RADIUS, 1))
        first, second = rows[at + one], rows[at + other]
        found = likeness(thumbs, first, second)
        for index in np.flatnonzero(found >= least)[:left].tolist():
            yield int(first[index]), int(second[index]), float(found[index])
            left -= 1
        if not left:
            return


def _cosines() -> NDArray[np.float32]:
    """The 128 lowest two-dimensional cosines but the constant one, orthonormal: float32 (32 * 32, 128)."""
    wave = np.cos(np.pi * np.arange(_SIDE)[:, None] * (2 * np.arange(_SIDE) + 1) / (2 * _SIDE))
    down, across = (index.ravel() for index in np.indices((_SIDE, _SIDE)))
    lowest = np.lexsort((down - across, down + across))[1 : _BITS + 1]
    planes = (wave[down[lowest], :, None] * wave[across[lowest], None, :]).reshape(_BITS, -1)
    basis: NDArray[np.float32] = (planes / np.linalg.norm(planes, axis=1, keepdims=True)).T.astype(np.float32)
    return basis
