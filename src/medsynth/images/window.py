"""Images of more than 8 bits: the grey levels that are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import ImageError
from medsynth.images.decode import DEEP_MODES, ImageSource, header_mode, read_pixels
from medsynth.images.dicom import is_dicom, read_dicom

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.images.spec import ImageSpec

__all__ = ["apply_window", "suggest_window"]


def suggest_window(sources: Sequence[ImageSource], *, limit: int = 200) -> tuple[float, float] | None:
    """The window of a training part: of the first DICOM file that names one, else the 0.5 and 99.5 percentiles.

    Args:
        sources: Training images; at most ``limit`` of them, evenly spaced, are read.
        limit: How many images to look at.

    Returns:
        (low, high), or ``None`` where every image looked at has 8 bits. Unreadable images are passed over.
    """
    step = max(1, math.ceil(len(sources) / limit))
    samples: list[NDArray[np.float64]] = []
    for source in sources[::step]:
        try:
            if isinstance(source, np.ndarray):
                pixels = read_pixels(source)
            elif is_dicom(Path(source)):
                pixels, window = read_dicom(Path(source))
                if window is not None:
                    return window
            elif header_mode(Path(source)) in DEEP_MODES:
                pixels = read_pixels(source)
            else:
                continue
        except ImageError:
            continue
        if pixels.dtype != np.uint8:
            sample = pixels.ravel()[:: max(1, pixels.size // 10_000)].astype(np.float64)
            samples.append(sample[np.isfinite(sample)])
    values = np.concatenate([np.empty(0), *samples])
    if not values.size:
        return None
    low, high = (float(level) for level in np.percentile(values, (0.5, 99.5)))
    return (low, high) if low < high else (low, low + 1.0)


def apply_window(pixels: NDArray[Any], spec: ImageSpec, name: str) -> NDArray[Any]:
    """More than 8 bits through the window: float32 (h, w) from 0 to 255, not rounded yet; colour as uint8."""
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if spec.window is None:
        raise ImageError(
            f"{name}: has more than 8 bits ({pixels.dtype}), and the model has no intensity window for that. "
            "Convert it to 8 bits as the training images were, or train on images like it."
        )
    low, high = spec.window
    with np.errstate(over="ignore", invalid="ignore"):  # Infinities and NaN of float images are mended below.
        deep = np.ascontiguousarray(pixels, np.float32) - np.float32(low)
        deep *= np.float32(255.0 / (high - low))
    np.nan_to_num(deep, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    deep.clip(0.0, 255.0, out=deep)
    return deep if deep.ndim == 2 else np.rint(deep).astype(np.uint8)
