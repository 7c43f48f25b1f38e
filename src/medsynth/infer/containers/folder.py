"""A folder of PNG files, ``00000042.png`` for sample 42; it may hold other shards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image

from medsynth.errors import OutputError
from medsynth.infer.samples import MARK, Order, Sample, beside_the_model, encode
from medsynth.outputs import atomic_write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["write_folder"]

_Job: TypeAlias = "tuple[Sample, NDArray[np.uint8] | None]"


def write_folder(folder: Path, order: Order, report: Callable[[int], None]) -> int:
    """Write those images that are not there yet; files that are this very sample are kept.

    Args:
        folder: Where to.
        order: Which samples.
        report: Called after each batch with the number of samples that are done.

    Returns:
        How many were written.

    Raises:
        OutputError: A file is another image, or the disk is full.
    """

    def jobs() -> Iterator[list[_Job]]:
        for samples in order.batches():
            there = [_is_there(folder / sample.file_name, sample) for sample in samples]
            images = [None] * len(samples) if all(there) else order.draw(samples)
            yield [(s, None if kept else image) for s, kept, image in zip(samples, there, images, strict=True)]

    def save(job: _Job) -> bool:
        sample, image = job
        if image is not None:
            with atomic_write(folder / sample.file_name) as temporary:
                temporary.write_bytes(encode(image, sample))
        return image is not None

    done = written = 0
    for saved in beside_the_model(jobs(), save):
        done, written = done + len(saved), written + sum(saved)
        report(done)
    return written


def _is_there(path: Path, sample: Sample) -> bool:
    """Whether the file is this sample already.

    Raises:
        OutputError: It is another image, which is not overwritten.
    """
    if not path.exists():
        return False
    try:
        with Image.open(path) as image:
            found = json.loads(image.info.get(MARK, "null"))
    except (OSError, ValueError):
        found = None
    if found != asdict(sample):
        raise OutputError(
            f"{path}: is there already, but is not sample {sample.index} of this model with seed {sample.seed} and "
            f"label {sample.label}. Choose another --out or --start."
        )
    return True
