"""The patients of the phantom set: anatomy and scanner settings, drawn from a counter-based generator."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["SLAB", "Draws", "Field", "Patient"]

SLAB = 0.14
"""Height of the slab that the slices sample. A unit is half the image's width, about 17 cm."""

Field: TypeAlias = NDArray[np.floating[Any]]
"""One number for each pixel, float32 (the stubs of numpy cannot tell)."""

_KEY = 0x6D656473796E7468  # Keeps these streams apart from other uses of Philox with the same seed.


class Draws:
    """Random numbers of one patient (part 0) or one of its slices, from raw Philox words."""

    def __init__(self, seed: int, patient: int, part: int) -> None:
        counter = np.array([0, 0, part, patient], np.uint64)
        self._bits = np.random.Philox(key=np.array([seed, _KEY], np.uint64), counter=counter)

    def uniform(self, low: float, high: float) -> float:
        """One number, uniform on [low, high)."""
        return low + (high - low) * ((int(self._bits.random_raw()) >> 11) * 2.0**-53)

    def array(self, *shape: int) -> NDArray[np.float64]:
        """Numbers of this shape, uniform on [0, 1)."""
        words = np.asarray(self._bits.random_raw(math.prod(shape)), np.uint64)
        return ((words >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)

    def normal(self, height: int, width: int) -> Field:
        """Numbers of shape (height, width), nearly normal, mean 0, deviation 1: sums of four bytes."""
        words = np.asarray(self._bits.random_raw((height * width + 1) // 2), np.uint64).astype("<u8")
        quads = words.view(np.uint8).reshape(-1, 4)[: height * width].astype(np.int16)
        total = quads[:, 0] + quads[:, 1] + quads[:, 2] + quads[:, 3]
        return ((total - np.float32(510.0)) / np.float32(147.8)).reshape(height, width)


@dataclass(frozen=True, eq=False)
class Patient:
    """What the slices of one patient share: lengths in half image widths; x to the right, y to the back, z down."""

    ill: bool
    body: tuple[float, float]  # Half axes of the skin.
    fat: float  # Thickness.
    cavity: tuple[float, float]  # Half axes of the chest's inside.
    heart: tuple[float, float, float, float]  # Centre, half axes at level 0.
    aorta: float  # Radius.
    lung: float  # Hounsfield units of clear lung.
    gravity: float  # Rise of density from front to back.
    settling: tuple[float, float]  # Where haze gathers in a clear lung: sideways tilt, outwards.
    haze: float  # Rise of density in the middle of a hazy patch.
    window: tuple[float, float]  # Lowest level, width.
    noise: tuple[float, float]  # Deviation, share that is smooth (the reconstruction kernel).
    lattices: NDArray[np.float64]  # Of the smooth noise: (4 fields, 2 levels, 17, 17), in [-1, 1].
    patches: NDArray[np.float64]  # (n, 6): centre, half axes.
    vessels: NDArray[np.float64]  # (n, 7): start, end, radius.
    bones: NDArray[np.float64]  # (n, 7), likewise.

    @property
    def vertebra(self) -> float:
        """Y of the vertebral body's centre."""
        return 0.8 * self.cavity[1]

    @classmethod
    def draw(cls, seed: int, index: int, *, ill: bool) -> Patient:
        """Patient ``index`` of the set with this seed; all but ``ill`` depends on these two only."""
        draws = Draws(seed, index, 0)
        body = (draws.uniform(0.93, 0.98), draws.uniform(0.78, 0.86))
        fat = draws.uniform(0.025, 0.06)
        wall = draws.uniform(0.10, 0.13)
        cavity = (body[0] - fat - wall, body[1] - fat - wall)
        return cls(
            ill=ill,
            body=body,
            fat=fat,
            cavity=cavity,
            heart=(
                draws.uniform(0.06, 0.14),
                draws.uniform(-0.24, -0.14),
                draws.uniform(0.22, 0.32),
                draws.uniform(0.22, 0.30),
            ),
            aorta=draws.uniform(0.07, 0.10),
            lung=draws.uniform(-900.0, -820.0),
            gravity=draws.uniform(0.0, 100.0),
            settling=(draws.uniform(-0.4, 0.4), draws.uniform(-0.3, 2.5)),
            haze=draws.uniform(240.0, 400.0),
            window=(draws.uniform(-1250.0, -1100.0), draws.uniform(1350.0, 1600.0)),
            noise=(draws.uniform(15.0, 50.0), draws.uniform(0.2, 0.8)),
            lattices=draws.array(4, 2, 17, 17) * 2.0 - 1.0,
            patches=np.array(list(_grow_patches(draws, cavity))),
            vessels=np.array([row for side in (-1.0, 1.0) for row in _grow_vessels(draws, side, cavity)]),
            bones=np.array([row for side in (-1.0, 1.0) for row in _grow_bones(draws, side, cavity)]),
        )


def _turn(x: float, y: float, tangent: float) -> tuple[float, float]:
    """Rotate by the angle whose half has this tangent: exact on every machine, unlike sine and cosine."""
    scale = 1.0 + tangent * tangent
    cosine, sine = (1.0 - tangent * tangent) / scale, 2.0 * tangent / scale
    return x * cosine - y * sine, x * sine + y * cosine


def _grow_patches(draws: Draws, cavity: tuple[float, float]) -> Iterator[tuple[float, ...]]:
    """Patches near the pleura, most of them at the side and the back; both lungs in turn."""
    for number in range(int(draws.uniform(4.0, 7.0))):
        side = 1.0 if number % 2 else -1.0
        x, y = _turn(1.0, 0.0, draws.uniform(-0.4, 0.75))
        depth = draws.uniform(0.74, 0.94)
        yield (
            side * x * cavity[0] * depth,
            y * cavity[1] * depth,
            draws.uniform(-0.06, 0.06),
            draws.uniform(0.13, 0.22),
            draws.uniform(0.13, 0.24),
            draws.uniform(0.16, 0.26),
        )


def _grow_vessels(draws: Draws, side: float, cavity: tuple[float, float]) -> Iterator[tuple[float, ...]]:
    """A tree of five generations from the hilum, and vessels that cross the slices, seen as dots."""
    for trunk in range(6):
        direction = _turn(side, 0.0, side * (0.25 * trunk - 0.625 + draws.uniform(-0.08, 0.08)))
        start = (side * 0.16, 0.04, draws.uniform(-0.05, 0.05))
        tips = [(start, direction, draws.uniform(0.16, 0.22), draws.uniform(0.018, 0.026))]
        for _ in range(5):
            grown = []
            for (x, y, z), (across, along), length, radius in tips:
                end = (x + across * length, y + along * length, z + draws.uniform(-0.35, 0.35) * length)
                yield (x, y, z, *end, radius)
                for fork in (-1.0, 1.0):
                    bent = _turn(across, along, fork * draws.uniform(0.08, 0.34))
                    grown.append((end, bent, length * draws.uniform(0.65, 0.95), radius * draws.uniform(0.62, 0.8)))
            tips = grown
    for _ in range(22):
        x, y = side * draws.uniform(0.2, 0.95) * cavity[0], draws.uniform(-0.8, 0.9) * cavity[1]
        slant = (draws.uniform(-0.08, 0.08), draws.uniform(-0.08, 0.08))
        yield (x - slant[0], y - slant[1], -0.2, x + slant[0], y + slant[1], 0.2, draws.uniform(0.005, 0.013))


def _grow_bones(draws: Draws, side: float, cavity: tuple[float, float]) -> Iterator[tuple[float, ...]]:
    """Half of the ribs, of the vertebra's arch and of the sternum."""
    shift = draws.uniform(-0.05, 0.05)
    for rib in range(6):
        tangent = -0.75 + 0.31 * rib + shift + draws.uniform(-0.02, 0.02)
        x, y = _turn(1.0, 0.0, tangent)
        x, y = side * x * (cavity[0] + 0.05), y * (cavity[1] + 0.05)
        across, along = _turn(0.0, 1.0, tangent)
        half = draws.uniform(0.08, 0.13)
        across, along = side * across * half, along * half
        yield (x - across, y - along, 0.0, x + across, y + along, 0.0, draws.uniform(0.024, 0.034))
    back = cavity[1] * 0.80
    yield (side * 0.06, back + 0.05, 0.0, side * 0.20, back + 0.10, 0.0, 0.024)
    yield (side * 0.13, back + 0.08, 0.0, 0.0, back + 0.20, 0.0, 0.020)
    yield (0.0, -cavity[1] - 0.055, 0.0, side * 0.11, -cavity[1] - 0.05, 0.0, 0.026)
