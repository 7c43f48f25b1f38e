"""Which files are taken for images, and how large one may be."""

from __future__ import annotations

from pathlib import Path

from medsynth.errors import ImageError

__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "check_size"]

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm", ".jp2", ".dcm", ".dicom"}
)
"""Suffixes (lower case) that a folder walk takes for images."""

MAX_PIXELS = 89_478_485
"""Images with more pixels are refused from their header, before memory is spent (Pillow's own threshold of doubt)."""


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse an image of more than :data:`MAX_PIXELS` pixels.

    Raises:
        ImageError: It has more.
    """
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{path}: {width}x{height} is more than the {MAX_PIXELS:,} pixels that one image may have. Reduce it first."
        )
