"""Decoding beside the model: threads read ahead of it, a bounded number of images, in input order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medsynth.dataset.table import Skipped
from medsynth.errors import ImageError
from medsynth.images import ImageSource, ImageSpec, load_image
from medsynth.infer.binding import pinned
from medsynth.processor import allowed_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.infer.sources import Sources

__all__ = ["Batch", "decode_batches"]

_AHEAD = 2
_WORKERS = min(16, max(2, len(allowed_cores())))


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Decoded images at fixed places: input i is in slot i mod batch size, whatever else could be read.

    Attributes:
        start: Index of the first input.
        images: uint8 (n, height, width, channels); black where an input could not be read. The next batch but two is
            written into the same memory, from when the next batch is asked for.
        readable: bool (n,).
        skipped: The inputs that could not be read.
    """

    start: int
    images: NDArray[np.uint8]
    readable: NDArray[np.bool_]
    skipped: tuple[Skipped, ...]


def decode_batches(
    sources: Sources, spec: ImageSpec, *, batch_size: int, first: int = 0, pin: bool = False
) -> Iterator[Batch]:
    """Decode inputs in batches, at most two batches ahead of the one that is being worked on.

    Threads write the pixels to their place in one of three buffers, which take turns; so nothing is left to be put
    together when the model asks for its next batch.

    Args:
        sources: What to decode.
        spec: How.
        batch_size: Inputs in each batch, at least 1; the last batch may be smaller.
        first: Index of the input to begin with, a multiple of ``batch_size``.
        pin: Lock the buffers in memory for CUDA.

    Yields:
        Batches in input order.

    Raises:
        MissingExtraError: A file needs a library that is not installed.
    """
    starts = range(first, len(sources), batch_size)
    size = min(batch_size, len(sources) - first)
    buffers = [np.empty((size, *spec.shape), np.uint8) for _ in starts[: _AHEAD + 1]]
    waiting: deque[list[Future[str | None]]] = deque()
    with pinned(buffers if pin else []), ThreadPoolExecutor(_WORKERS, thread_name_prefix="decode") as pool:

        def submit(turn: int) -> None:
            images = sources.images[starts[turn] : starts[turn] + batch_size]
            slots = buffers[turn % len(buffers)][: len(images)]
            pairs = zip(images, slots, strict=True)
            waiting.append([pool.submit(_decode, source, spec, slot) for source, slot in pairs])

        try:
            for turn in range(len(starts)):
                for following in range(turn + len(waiting), min(turn + _AHEAD + 1, len(starts))):
                    submit(following)
                reasons = [decoded.result() for decoded in waiting.popleft()]
                yield Batch(
                    start=starts[turn],
                    images=buffers[turn % len(buffers)][: len(reasons)],
                    readable=np.array([reason is None for reason in reasons]),
                    skipped=tuple(
                        Skipped(sources.names[starts[turn] + slot], reason)
                        for slot, reason in enumerate(reasons)
                        if reason is not None
                    ),
                )
        finally:
            # Also when the reader stops early or a file raises: nothing is decoded for nobody.
            pool.shutdown(wait=True, cancel_futures=True)


def _decode(source: ImageSource, spec: ImageSpec, slot: NDArray[np.uint8]) -> str | None:
    """Put the pixels of one image into its slot; the reason where it has none."""
    try:
        slot[:] = load_image(source, spec)
    except ImageError as error:
        slot[:] = 0
        return str(error) if isinstance(source, np.ndarray) else str(error).removeprefix(f"{source}: ")
    return None
