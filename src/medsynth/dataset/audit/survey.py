"""What an audit needs to know of each image, gathered in one pass over the files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.audit.facts import FileFacts, frame_of, read_facts
from medsynth.errors import ImageError
from medsynth.images import ImageSource, ImageSpec, load_image, read_pixels, suggest_window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset.table import Dataset

__all__ = ["THUMB", "Survey", "survey_dataset"]

THUMB = 64
"""Height and width of a thumbnail, pixels."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Survey:
    """Facts about the m readable images of a data set.

    Attributes:
        rows: int64 (m,), row of each in the table, ascending.
        sizes: int64 (m, 2), height and width in pixels.
        deep: bool (m,), whether it has more than 8 bits.
        colour: bool (m,), whether it has three channels.
        frames: float64 (m, 4), see :func:`~medsynth.dataset.audit.facts.frame_of`.
        digests: Hash of the decoded pixels of each: equal for the same image in two files, whatever its metadata.
        thumbs: uint8 (m, 4096), the grey image reduced to 64x64.
        files: What the file of each tells.
        failures: Row and reason of each unreadable image.
    """

    rows: NDArray[np.int64]
    sizes: NDArray[np.int64]
    deep: NDArray[np.bool_]
    colour: NDArray[np.bool_]
    frames: NDArray[np.float64]
    digests: tuple[bytes, ...]
    thumbs: NDArray[np.uint8]
    files: tuple[FileFacts, ...]
    failures: dict[int, str]


def survey_dataset(data: Dataset, *, workers: int = 4, on_progress: Callable[[int, int], None] | None = None) -> Survey:
    """Decode each image once.

    Args:
        data: The table.
        workers: Threads; each holds one full-size image at a time.
        on_progress: Called with (images done, images in all).
    """
    thumbs = np.zeros((len(data), THUMB * THUMB), np.uint8)
    sizes = np.zeros((len(data), 2), np.int64)
    deep, colour = np.zeros((2, len(data)), np.bool_)
    frames = np.zeros((len(data), 4))
    digests = [b""] * len(data)
    files = [FileFacts()] * len(data)

    def look(row: int) -> str | None:
        source = data.images[row]
        try:
            pixels = read_pixels(source)
        except ImageError as error:
            return str(error).removeprefix(f"{source}: ")
        sizes[row] = pixels.shape[:2]
        deep[row] = pixels.dtype != np.uint8
        colour[row] = pixels.ndim == 3
        frames[row] = frame_of(pixels)
        head = f"{pixels.dtype} {pixels.shape}".encode()
        digests[row] = hashlib.blake2b(head + np.ascontiguousarray(pixels).tobytes(), digest_size=16).digest()
        thumbs[row] = _thumbnail(pixels)
        files[row] = read_facts(source)
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
        colour=colour[rows],
        frames=frames[rows],
        digests=tuple(digests[row] for row in rows),
        thumbs=thumbs[rows] if failures else thumbs,
        files=tuple(files[row] for row in rows),
        failures=failures,
    )


def _thumbnail(pixels: ImageSource) -> NDArray[np.uint8]:
    spec = ImageSpec(height=THUMB, width=THUMB, channels=1, window=suggest_window([pixels]))
    return load_image(pixels, spec).ravel()
