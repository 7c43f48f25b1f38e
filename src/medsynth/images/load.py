"""From a file or an array to the pixels of a model."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from medsynth.images.decode import DEEP_MODES, Box, ImageSource, decode
from medsynth.images.window import apply_window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.images.spec import ImageSpec

__all__ = ["RESIZE", "load_image", "load_images"]

_MARGIN = 3  # By Pillow's account of Image.resize, almost indistinguishable from a resize of the whole.
RESIZE = {"filter": "bilinear", "antialias": True, "aspect": "stretch", "library": "pillow", "jpeg_margin": _MARGIN}
"""How :func:`load_image` resizes; written into every artefact."""


def load_image(source: ImageSource, spec: ImageSpec) -> NDArray[np.uint8]:
    """Decode, window, convert and resize one image to what a model with this spec takes.

    Args:
        source: A path, or an array as :func:`read_pixels` takes it.
        spec: Size, channels and intensity window.

    Returns:
        uint8 array of shape (height, width, channels).

    Raises:
        ImageError: As :func:`read_pixels`; or the image has more than 8 bits and ``spec.window`` is ``None``.
    """
    decoded, box = decode(source, (_MARGIN * spec.width, _MARGIN * spec.height))
    if not isinstance(decoded, Image.Image) or decoded.mode in DEEP_MODES:
        decoded = Image.fromarray(apply_window(np.asarray(decoded), spec, _name(source)))
    return _fit(decoded, spec, box)


def load_images(sources: Iterable[ImageSource], spec: ImageSpec, *, workers: int = 4) -> NDArray[np.uint8]:
    """:func:`load_image` over many sources, decoded by ``workers`` threads: uint8 (n, height, width, channels)."""
    listed = list(sources)
    images = np.empty((len(listed), *spec.shape), np.uint8)

    def fill(index: int) -> None:
        images[index] = load_image(listed[index], spec)

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        for _ in pool.map(fill, range(len(listed))):
            pass
    return images


def _fit(image: Image.Image, spec: ImageSpec, box: Box | None) -> NDArray[np.uint8]:
    """Channels and resize: an image of mode L, RGB or F to uint8 (height, width, channels)."""
    if spec.channels == 1 and image.mode == "RGB":
        image = image.convert("L")  # ITU-R 601 luma
    if image.size != (spec.width, spec.height):
        image = image.resize((spec.width, spec.height), Image.Resampling.BILINEAR, box)
    pixels = np.asarray(image)
    if image.mode == "F":
        # Rounded after the resize, so that the extra bits count.
        pixels = np.rint(pixels).clip(0, 255).astype(np.uint8)
    pixels = pixels.reshape(*spec.shape[:2], -1)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] < spec.channels else pixels


def _name(source: ImageSource) -> str:
    return "array" if isinstance(source, np.ndarray) else str(source)
