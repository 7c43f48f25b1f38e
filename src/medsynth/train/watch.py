"""How a generator is doing while it trains: distance from real images, and how much its images differ among themselves.

Measured on a fixed description of each image that needs no network and no download: what a Laplacian pyramid (Burt and
Adelson 1983) holds at each scale in each of 4x4 places, and the coarsest picture. It sees blur, checkerboards, missing
anatomy and collapse; it is no judge of quality beyond that, and serves to choose among checkpoints of one run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.metrics import kernel_distance_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["COLLAPSED", "Look", "Watch", "describe_images"]

COLLAPSED = 0.3
"""Spread of a class's images, as a share of the real one's, below which they count as all alike."""

_PLACES = 4
_COARSEST = 8
_CHUNK = 256


@dataclass(frozen=True)
class Look:
    """One look at the generator's images.

    Attributes:
        distance: Mean over the classes of the kernel distance (KID) of the descriptions; 0 is expected of real images.
        error: Its standard error.
        diversity: For each class index, the mean distance of two generated images over that of two real ones.
    """

    distance: float
    error: float
    diversity: tuple[float, ...]

    @property
    def collapsed(self) -> tuple[int, ...]:
        """Classes whose images are all alike."""
        return tuple(index for index, value in enumerate(self.diversity) if value < COLLAPSED)


class Watch:
    """Compares generated images with a fixed set of real ones, class by class.

    Args:
        images: Real ones, uint8 (n, h, w, c), at least 3 of each class.
        labels: int (n,).
        classes: How many there are.
    """

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.integer[Any]], classes: int) -> None:
        found = describe_images(images)
        self._mean, self._scale = found.mean(0), found.std(0) + 1e-6
        rows = self._standard(found)
        self._real = [rows[labels == index] for index in range(classes)]
        self._spread = [_spread(rows) for rows in self._real]

    def look(self, images: NDArray[np.uint8], labels: NDArray[np.integer[Any]]) -> Look:
        """Judge generated images, at least 3 of each class."""
        rows = self._standard(describe_images(images))
        made = [rows[labels == index] for index in range(len(self._real))]
        found = [kernel_distance_error(real, fake) for real, fake in zip(self._real, made, strict=True)]
        distances, errors = zip(*found, strict=True)
        spreads = [_spread(fake) / real for fake, real in zip(made, self._spread, strict=True)]
        return Look(float(np.mean(distances)), float(np.linalg.norm(errors)) / len(errors), tuple(spreads))

    def _standard(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        # Far outside of what real images show, how far does not matter.
        found: NDArray[np.float64] = np.clip((rows - self._mean) / self._scale, -10.0, 10.0)
        return found


def describe_images(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The description of each image, (n, d).

    Args:
        images: uint8 (n, h, w, c).
    """
    # In parts, because the pyramid takes many times the memory of the images.
    chunks = [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    return np.concatenate([_describe(chunk) for chunk in chunks])


def _describe(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    level = images.astype(np.float64) / 255.0
    parts = []
    while min(level.shape[1:3]) >= 2 * _COARSEST:
        height, width = level.shape[1] // 2 * 2, level.shape[2] // 2 * 2
        level = level[:, :height, :width]
        coarse = (level[:, ::2, ::2] + level[:, 1::2, ::2] + level[:, ::2, 1::2] + level[:, 1::2, 1::2]) / 4
        band = np.abs(level - coarse.repeat(2, axis=1).repeat(2, axis=2))
        # A logarithm, because the strength of detail varies by factors.
        parts.append(np.log(_places(band) + 1e-3))
        level = coarse
    parts.append(level)
    found: NDArray[np.float64] = np.concatenate([part.reshape(len(images), -1) for part in parts], axis=1)
    return found


def _places(band: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean in each of 4x4 places, (n, 4, 4, c)."""
    rows = np.array_split(band, _PLACES, axis=1)
    found: NDArray[np.float64] = np.stack(
        [np.stack([part.mean((1, 2)) for part in np.array_split(row, _PLACES, axis=2)], 1) for row in rows], 1
    )
    return found


def _spread(rows: NDArray[np.float64]) -> float:
    """Mean squared distance of two different rows, its root."""
    return float(np.sqrt(2.0 * rows.var(axis=0, ddof=1).sum()) + 1e-9)
