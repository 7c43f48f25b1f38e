"""Decoding beside the model: threads read ahead of it, a bounded number of images, in input order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.table import Skipped
from medsynth.errors import ImageError
from medsynth.images import ImageSource, ImageSpec, load_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.infer.sources import Sources

__all__ = ["Batch", "decode_batches"]

_WORKERS = min(16, max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2))


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Decoded images at fixed places: input i is in slot i mod batch size, whatever else could be read.

    Attributes:
        start: Index of the first input.
        images: uint8 (n, height, width, channels); black where an input could not be read.
        readable: bool (n,).
        skipped: The inputs that could not be read.
    """

    start: int
    images: NDArray[np.uint8]
    readable: NDArray[np.bool_]
    skipped: tuple[Skipped, ...]


def decode_batches(sources: Sources, spec: ImageSpec, *, batch_size: int, first: int = 0) -> Iterator[Batch]:
    """Decode inputs in batches, at most two batches ahead of the one that is being worked on.

    Args:
        sources: What to decode.
        spec: How.
        batch_size: Inputs in each batch, at least 1; the last batch may be smaller.
        first: Index of the input to begin with, a multiple of ``batch_size``.

    Yields:
        Batches in input order.

    Raises:
        MissingExtraError: A file needs a library that is not installed.
    """
    with ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="decode") as pool:
        waiting: deque[Future[NDArray[np.uint8] | ImageError]] = deque()
        following = first
        try:
            for start in range(first, len(sources), batch_size):
                stop = min(start + batch_size, len(sources))
                ahead = min(stop + 2 * batch_size, len(sources))
                waiting.extend(pool.submit(_decode, sources.images[index], spec) for index in range(following, ahead))
                following = max(following, ahead)
                decoded = [waiting.popleft().result() for _ in range(start, stop)]
                yield _assemble(start, decoded, sources.names[start:stop], sources.images[start:stop], spec)
        finally:
            # Also when the reader stops early or a file raises: nothing is decoded for nobody.
            pool.shutdown(wait=True, cancel_futures=True)


def _decode(source: ImageSource, spec: ImageSpec) -> NDArray[np.uint8] | ImageError:
    try:
        return load_image(source, spec)
    except ImageError as error:
        return error


def _assemble(
    start: int,
    decoded: list[NDArray[np.uint8] | ImageError],
    names: tuple[str, ...],
    sources: Sequence[ImageSource],
    spec: ImageSpec,
) -> Batch:
    images = np.zeros((len(decoded), *spec.shape), np.uint8)
    readable = np.ones(len(decoded), np.bool_)
    skipped = []
    for slot, (image, name, source) in enumerate(zip(decoded, names, sources, strict=True)):
        if isinstance(image, ImageError):
            readable[slot] = False
            reason = str(image) if isinstance(source, np.ndarray) else str(image).removeprefix(f"{source}: ")
            skipped.append(Skipped(name, reason))
        else:
            images[slot] = image
    return Batch(start, images, readable, tuple(skipped))
