"""The built-in data set: procedural chest CT slices, clear ones and ones with ground-glass opacities.

Each patient is a small three-dimensional model that is cut at a few neighbouring levels, so slices of one patient
resemble each other, and a split that ignores patients leaks. All slices of a patient share the label.

The label cannot be read from grey levels: both classes hold the same lung densities, only their arrangement tells
(see :func:`medsynth.dataset.phantom_slice.cut_slice`), and lung density, window and noise vary between patients.

The pixels are the same on every machine: raw words of Philox and nothing but ``+ - * /`` and square root, element by
element, which IEEE 754 rounds exactly (no trigonometry, no matrix product, no floating-point sum over an axis).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.phantom_patient import SLAB, Draws, Patient
from medsynth.dataset.phantom_slice import cut_slice
from medsynth.errors import ConfigError
from medsynth.images import load_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.images import ImageSpec

__all__ = ["PHANTOM_CLASSES", "PhantomSet", "make_phantom", "phantom_images"]

PHANTOM_CLASSES = ("clear", "opacity")
"""Class names in label order; the diseased class sorts last, so it is the positive one."""

_GOLDEN_SIZE = 128  # Pixels before the resize of phantom_images.


@dataclass(frozen=True, eq=False)
class PhantomSet:
    """Slices in patient order.

    Attributes:
        images: uint8 (n, size, size).
        labels: int64 (n,), index into ``classes``; all slices of a patient share it.
        groups: Patient of each slice, for example ``"p0007"``.
        names: Unique names in natural order, for example ``"phantom/p0007-s02.png"``.
        classes: :data:`PHANTOM_CLASSES`.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    groups: tuple[str, ...]
    names: tuple[str, ...]
    classes: tuple[str, ...] = PHANTOM_CLASSES


def make_phantom(*, patients: int = 240, slices_per_patient: int = 4, size: int = 128, seed: int = 0) -> PhantomSet:
    """Draw the phantom set. Odd patients are ill, so an even number of patients is balanced.

    Args:
        patients: Number of patients, at least 1. Patient k is the same whatever this number.
        slices_per_patient: Slices of each, at least 1, evenly spaced over the same slab of about 2.4 cm.
        size: Height and width in pixels, at least 16.
        seed: 0 to 2**64 - 1. The same seed gives the same pixels on every machine.

    Raises:
        ConfigError: A number is out of its range.
    """
    for name, value, low, high in (
        ("patients", patients, 1, 9999),
        ("slices_per_patient", slices_per_patient, 1, 99),
        ("size", size, 16, 4096),
        ("seed", seed, 0, 2**64 - 1),
    ):
        if not low <= value <= high:
            raise ConfigError(f"phantom: {name} must be from {low} to {high}. Got {value}.")
    images = np.empty((patients, slices_per_patient, size, size), np.uint8)
    for index in range(patients):
        patient = Patient.draw(seed, index, ill=index % 2 == 1)
        for cut in range(slices_per_patient):
            level = SLAB * ((cut + 0.5) / slices_per_patient - 0.5)
            images[index, cut] = cut_slice(patient, level, Draws(seed, index, cut + 1), size)
    rows = [(index, cut) for index in range(patients) for cut in range(slices_per_patient)]
    return PhantomSet(
        images=images.reshape(-1, size, size),
        labels=np.array([index % 2 for index, _ in rows], np.int64),
        groups=tuple(f"p{index:04d}" for index, _ in rows),
        names=tuple(f"phantom/p{index:04d}-s{cut:02d}.png" for index, cut in rows),
    )


def phantom_images(count: int, image: ImageSpec, seed: int = 0) -> NDArray[np.uint8]:
    """One slice of each of ``count`` patients, clear and ill in turn, prepared as a model with this spec takes them.

    Args:
        count: Number of images, at least 1.
        image: Size and channels wanted.
        seed: As in :func:`make_phantom`.

    Returns:
        uint8 (count, height, width, channels).
    """
    drawn = make_phantom(patients=count, slices_per_patient=1, size=_GOLDEN_SIZE, seed=seed)
    return np.stack([load_image(pixels, image) for pixels in drawn.images])
