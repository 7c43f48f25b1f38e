"""Cuts a patient of the phantom set at one level: Hounsfield units, scanner noise, display window."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.phantom_patient import SLAB

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset.phantom_patient import Draws, Field, Patient

__all__ = ["cut_slice"]

# Hounsfield units.
_AIR, _FAT, _MUSCLE, _BLOOD, _MARROW, _BONE, _VESSEL = -1000.0, -95.0, 45.0, 70.0, 230.0, 650.0, 20.0

_AT_ONCE, _SIDE = 2**16, 8  # Pixels of boxes that are computed together; their sides are multiples.


def cut_slice(patient: Patient, level: float, draws: Draws, size: int) -> NDArray[np.uint8]:
    """Image a patient at a level.

    The lungs of a clear patient hold the densities of the same patient with opacities, dealt out again in the order of
    a smooth field that is highest at the back and the rim (as gravity does to a lung): equal histograms, no patches.

    Args:
        patient: Whom to cut.
        level: Between -SLAB / 2 and SLAB / 2.
        draws: Numbers of this slice alone: pose and noise.
        size: Height and width in pixels.

    Returns:
        uint8 (size, size).
    """
    pixel = 2.6 / size  # Width of an edge, 1.3 pixels.
    nodes = patient.lattices[:, 0] + (patient.lattices[:, 1] - patient.lattices[:, 0]) * (level / SLAB + 0.5)
    x, y = _grid(size)
    x = x + 0.03 * _smooth_noise(nodes[0, ::4, ::4], size) + draws.uniform(-0.01, 0.01)
    y = y + 0.03 * _smooth_noise(nodes[1, ::4, ::4], size) + draws.uniform(-0.01, 0.01)
    medium, fine = _smooth_noise(nodes[2, ::2, ::2], size), _smooth_noise(nodes[3], size)
    ragged = 0.6 * medium + 0.5 * fine

    cavity = _ellipse(x * (1.0 - 0.12 * y), y, (0.0, 0.0), patient.cavity, 0.40)
    hx, hy, ha, hb = patient.heart
    heart = _ellipse(x, y, (hx, hy), (ha * (1.0 + level), hb * (1.0 + level)))
    aorta = _ellipse(x, y, (0.10, 0.30), (patient.aorta, patient.aorta))
    tissue = _soft_tissue(patient, x, y, level, 60.0 * medium, heart, aorta, pixel)

    spine = _ellipse(x, y, (0.0, patient.vertebra + 0.10), (0.19, 0.24))
    middle = _ellipse(x, y, (0.0, 0.05), (0.10, patient.cavity[1] + 0.1))
    organs = _join(_join(_join(heart, middle, 0.10), aorta, 0.04), spine, 0.08)
    inside = _unit(0.5 + _join(-cavity, organs, 0.06) / pixel)
    density = patient.lung + patient.gravity * y + patient.haze * _patches(patient, x, y, level, ragged)
    if not patient.ill:
        tilt, outwards = patient.settling
        density = _settle(density, y + tilt * x + outwards * (x * x + y * y) + 0.12 * ragged, inside > 0.5)
    density = density + (_VESSEL - density) * 0.85 * _tubes(x, y, level, patient.vessels, pixel)
    tissue = tissue + (density - tissue) * inside + _scanner_noise(patient.noise, draws, size)
    low, width = patient.window
    grey: NDArray[np.uint8] = np.rint(255.0 * _unit((tissue - low) / width)).astype(np.uint8)
    return grey


def _soft_tissue(
    patient: Patient, x: Field, y: Field, level: float, mottle: Field, heart: Field, aorta: Field, pixel: float
) -> Field:
    """Hounsfield units of everything but the lungs."""
    skin = _ellipse(x, y, (0.0, 0.0), patient.body, 0.35)
    vertebra = (0.0, patient.vertebra)
    tissue = np.full_like(x, _AIR)
    tissue = _paint(tissue, _FAT, skin, pixel)
    tissue = _paint(tissue, _MUSCLE + mottle, skin + patient.fat, pixel)
    tissue = _paint(tissue, _BLOOD, heart + 0.02, pixel)
    tissue = _paint(tissue, _BLOOD, aorta + 0.01, pixel)
    tissue = _paint(tissue, _BONE, _ellipse(x, y, vertebra, (0.115, 0.09)), pixel)
    tissue = _paint(tissue, _MARROW, _ellipse(x, y, vertebra, (0.095, 0.07)), pixel)
    for side in (-1.0, 1.0):
        bronchus = _ellipse(x, y, (side * 0.09, 0.10 - 0.3 * level), (0.045, 0.034))
        tissue = _paint(tissue, _AIR, bronchus, pixel)
    return tissue + (_BONE - tissue) * _tubes(x, y, 0.0, patient.bones, pixel)


def _scanner_noise(noise: tuple[float, float], draws: Draws, size: int) -> Field:
    """Hounsfield units of noise, partly smoothed, as a reconstruction kernel does."""
    deviation, smooth = noise
    grain = draws.normal(size + 2, size + 2)
    centre = grain[1:-1, 1:-1]
    blurred = (grain[:-2, 1:-1] + grain[2:, 1:-1] + grain[1:-1, :-2] + grain[1:-1, 2:] + centre) * 0.45
    return deviation * (smooth * blurred + (1.0 - smooth) * centre)


def _patches(patient: Patient, x: Field, y: Field, level: float, ragged: Field) -> Field:
    """Hazy patches with soft, ragged edges, in [0, 1]."""
    haze = np.zeros_like(x)
    for cx, cy, cz, rx, ry, rz in patient.patches.tolist():
        u, v, w = (x - cx) / rx, (y - cy) / ry, (level - cz) / rz
        inside = _unit((1.10 + 0.55 * ragged - np.sqrt(u * u + v * v + w * w)) * 1.5)
        np.maximum(haze, inside * inside * (3.0 - 2.0 * inside), out=haze)
    return haze * (0.8 + 0.2 * ragged)


def _settle(density: Field, order: Field, where: NDArray[np.bool_]) -> Field:
    """Deal the values of ``density`` out again inside ``where``: the higher ``order``, the denser."""
    settled = density.copy()
    values = np.empty(int(np.count_nonzero(where)), np.float32)
    values[np.argsort(order[where], kind="stable")] = np.sort(density[where])
    settled[where] = values
    return settled


@lru_cache(maxsize=4)
def _grid(size: int) -> tuple[Field, Field]:
    """X and y of the pixel centres, both in (-1, 1)."""
    line = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(2.0 / size) - np.float32(1.0)
    x, y = np.meshgrid(line, line)
    x.setflags(write=False)
    y.setflags(write=False)
    return x, y


def _smooth_noise(lattice: NDArray[np.float64], size: int) -> Field:
    """Value noise: a lattice interpolated with smoothstep weights, in [-1, 1]."""
    cells = len(lattice) - 1
    place = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(cells / size)
    cell = np.minimum(place.astype(np.intp), cells - 1)
    weight = place - cell.astype(np.float32)
    weight = weight * weight * (3.0 - 2.0 * weight)
    nodes = lattice.astype(np.float32)
    rows = nodes[cell] + (nodes[cell + 1] - nodes[cell]) * weight[:, None]
    field: Field = rows[:, cell] + (rows[:, cell + 1] - rows[:, cell]) * weight
    return field


def _unit(values: Field) -> Field:
    """Limit to [0, 1]."""
    limited: Field = np.minimum(np.maximum(values, 0.0), 1.0)
    return limited


def _ellipse(x: Field, y: Field, centre: tuple[float, float], axes: tuple[float, float], square: float = 0.0) -> Field:
    """About the signed distance to an ellipse, negative inside; ``square`` pushes its corners out."""
    u, v = (x - centre[0]) / axes[0], (y - centre[1]) / axes[1]
    u, v = u * u, v * v
    radius: Field = np.sqrt(np.maximum(u + v - square * u * v, 0.0))
    return (radius - 1.0) * min(axes)


def _join(first: Field, second: Field, fillet: float) -> Field:
    """Union of two signed distances with a rounded seam."""
    seam = np.maximum(fillet - np.abs(first - second), 0.0)
    joined: Field = np.minimum(first, second) - seam * seam * (0.25 / fillet)
    return joined


def _paint(hounsfield: Field, value: float | Field, distance: Field, pixel: float) -> Field:
    """Paint ``value`` inside a signed distance, with a soft edge."""
    return hounsfield + (value - hounsfield) * _unit(0.5 - distance / pixel)


def _tubes(x: Field, y: Field, level: float, rows: NDArray[np.float64], pixel: float) -> Field:
    """Coverage in [0, 1] of the tubes (start, end, radius) where the slice at ``level`` cuts them."""
    covered = np.zeros_like(x)
    low, high, reach = np.minimum(rows[:, 2], rows[:, 5]), np.maximum(rows[:, 2], rows[:, 5]), rows[:, 6] + pixel
    rows = rows[(low - reach < level) & (level < high + reach)]
    for corners, (height, width), tubes in _boxes(rows, pixel, len(x)):
        lines = corners[:, 0, None, None] + np.arange(height)[:, None]
        columns = corners[:, 1, None, None] + np.arange(width)
        found = _coverage(x[lines, columns], y[lines, columns], level, tubes, pixel)
        for (line, column), each in zip(corners.tolist(), found, strict=True):
            box = covered[line : line + height, column : column + width]
            np.maximum(box, each, out=box)
    return covered


def _boxes(
    rows: NDArray[np.float64], pixel: float, size: int
) -> Iterator[tuple[NDArray[np.intp], tuple[int, int], NDArray[np.float64]]]:
    """Boxes that hold all that a tube covers, as (line, column) of their corners; of one height and width, with tubes.

    Sides are multiples of _SIDE, so that there are few kinds of boxes and each kind is computed at once.
    """
    near = np.minimum(rows[:, 1::-1], rows[:, 4:2:-1])  # (y, x)
    far = np.maximum(rows[:, 1::-1], rows[:, 4:2:-1])
    beyond = rows[:, 6:] + pixel + 0.05  # The warp moves a pixel by 0.04 at most.
    first = np.clip(((near - beyond + 1.0) / 2.0 * size).astype(np.intp), 0, size - 1)
    last = np.clip(((far + beyond + 1.0) / 2.0 * size).astype(np.intp), 0, size - 1)
    sides = np.minimum((last - first + _SIDE) // _SIDE * _SIDE, size)
    first = np.minimum(first, size - sides)
    kinds = sides[:, 0] * (size + 1) + sides[:, 1]
    for kind in np.unique(kinds).tolist():
        height, width = divmod(kind, size + 1)
        chosen = np.flatnonzero(kinds == kind)
        for start in range(0, len(chosen), count := max(1, _AT_ONCE // (height * width))):
            some = chosen[start : start + count]
            yield first[some], (height, width), rows[some]


def _coverage(x: Field, y: Field, level: float, tubes: NDArray[np.float64], pixel: float) -> Field:
    """Coverage of each tube in its box; ``x`` and ``y`` are (tubes, height, width)."""
    ends = tubes[:, :, None, None]
    delta = ends[:, 3:6] - ends[:, :3]
    above = level - ends[:, 2]
    # Rounded to float32 where they meet pixels, and not before.
    ax, ay, radius, dx, dy, dz, pz, high, length = (
        each.astype(np.float32)
        for each in (
            ends[:, 0], ends[:, 1], ends[:, 6], delta[:, 0], delta[:, 1], delta[:, 2], above, above * delta[:, 2],
            delta[:, 0] * delta[:, 0] + delta[:, 1] * delta[:, 1] + delta[:, 2] * delta[:, 2],
        )
    )  # fmt: skip
    px, py = x - ax, y - ay
    along = _unit((px * dx + py * dy + high) / length)
    px, py, off = px - along * dx, py - along * dy, pz - along * dz
    return _unit(0.5 + (radius - np.sqrt(px * px + py * py + off * off)) / pixel)
