"""A folder of PNG files, ``00000042.png`` for sample 42; it may hold other shards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image

from medsynth.errors import OutputError
from medsynth.infer.samples import MARK, Order, Report, Sample, beside_the_model, encode
from medsynth.outputs import atomic_write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["write_folder"]

_Job: TypeAlias = "tuple[Sample, NDArray[np.uint8] | None]"


def write_folder(folder: Path, order: Order, report: Report) -> int:
    """Write those images that are not there yet; files that are this very sample are kept.

    Args:
        folder: Where to.
        order: Which samples.
        report: Called after each batch with its samples.

    Returns:
        How many were written.

    Raises:
        OutputError: A file is another image, or the disk is full.
    """

    def jobs() -> Iterator[list[_Job]]:
        for samples in order.batches():
            there = [_find(folder / sample.file_name, sample) for sample in samples]
            drawn, images = (samples, [None] * len(samples)) if all(there) else order.draw(samples)
            yield [
                (new, image) if old is None else (old, None)
                for old, new, image in zip(there, drawn, images, strict=True)
            ]

    def save(job: _Job) -> tuple[Sample, bool]:
        sample, image = job
        if image is not None:
            with atomic_write(folder / sample.file_name) as temporary:
                temporary.write_bytes(encode(image, sample))
        return sample, image is not None

    written = 0
    for saved in beside_the_model(jobs(), save):
        written += sum(new for _, new in saved)
        report([sample for sample, _ in saved])
    return written


def _find(path: Path, sample: Sample) -> Sample | None:
    """The sample that the file is already, which may be a later try than ``sample``; ``None``: there is no file.

    Raises:
        OutputError: It is another image, which is not overwritten.
    """
    if not path.exists():
        return None
    try:
        with Image.open(path) as image:
            facts = json.loads(image.info.get(MARK, "null"))
        found = replace(sample, index=int(facts["index"]))
    except (OSError, ValueError, KeyError, TypeError):
        facts = found = None
    if found is None or found.place != sample.place or found.facts() != facts:
        raise OutputError(
            f"{path}: is there already, but is not sample {sample.index} of this model with seed {sample.seed} and "
            f"label {sample.label}. Choose another --out or --start."
        )
    return found
