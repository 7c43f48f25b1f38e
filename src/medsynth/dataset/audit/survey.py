"""What an audit needs to know of each image, gathered in one pass over the files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medsynth.errors import ImageError
from medsynth.images import ImageSource, ImageSpec, load_image, read_pixels, suggest_window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset.table import Dataset

__all__ = ["Survey", "survey_dataset"]

_THUMB = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class Survey:
    """Facts about the m readable images of a data set.

    Attributes:
        rows: int64 (m,), row of each in the table, ascending.
        sizes: int64 (m, 2), height and width in pixels.
        deep: bool (m,), whether it has more than 8 bits.
        digests: Hash of the decoded pixels of each: equal for the same image in two files, whatever its metadata.
        thumbs: float32 (m, 4096), the grey image reduced to 64x64, mean 0 and Euclidean norm 1, so that the product of
            two is their Pearson correlation; a flat image is all zeros.
        failures: Row and reason of each unreadable image.
    """

    rows: NDArray[np.int64]
    sizes: NDArray[np.int64]
    deep: NDArray[np.bool_]
    digests: tuple[str, ...]
    thumbs: NDArray[np.float32]
    failures: dict[int, str]


def survey_dataset(data: Dataset, *, workers: int = 4, on_progress: Callable[[int, int], None] | None = None) -> Survey:
    """Decode each image once.

    Args:
        data: The table.
        workers: Threads; each holds one full-size image at a time.
        on_progress: Called with (images done, images in all).
    """
    thumbs = np.zeros((len(data), _THUMB, _THUMB), np.uint8)
    sizes = np.zeros((len(data), 2), np.int64)
    deep = np.zeros(len(data), np.bool_)
    digests = [""] * len(data)

    def look(row: int) -> str | None:
        source = data.images[row]
        try:
            pixels = read_pixels(source)
        except ImageError as error:
            return str(error).removeprefix(f"{source}: ")
        sizes[row] = pixels.shape[:2]
        deep[row] = pixels.dtype != np.uint8
        digests[row] = hashlib.sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
        thumbs[row] = _thumbnail(pixels)
        return None

    failures: dict[int, str] = {}
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        for row, reason in enumerate(pool.map(look, range(len(data)))):
            if reason is not None:
                failures[row] = reason
            if on_progress is not None:
                on_progress(row + 1, len(data))
    rows = np.array([row for row in range(len(data)) if row not in failures], np.int64)
    return Survey(
        rows=rows,
        sizes=sizes[rows],
        deep=deep[rows],
        digests=tuple(digests[row] for row in rows),
        thumbs=_standardise(thumbs[rows]),
        failures=failures,
    )


def _thumbnail(pixels: ImageSource) -> NDArray[np.uint8]:
    spec = ImageSpec(height=_THUMB, width=_THUMB, channels=1, window=suggest_window([pixels]))
    return load_image(pixels, spec)[..., 0]


def _standardise(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    flat = thumbs.reshape(len(thumbs), _THUMB * _THUMB).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-3)
    return flat
