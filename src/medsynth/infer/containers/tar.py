"""A tar file as WebDataset reads it: for sample 42 ``00000042.png``, ``.cls`` (class index) and ``.json`` (the mark).

The PNG carries the mark too. Owners and times are zero, so the same order gives the same bytes.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from medsynth.infer.samples import Order, Report, Sample, beside_the_model, encode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["write_tar"]


def write_tar(path: Path, order: Order, report: Report) -> None:
    """Write all samples, a batch in memory at a time.

    Args:
        path: The file.
        order: Which samples.
        report: Called after each batch with its samples.
    """
    labels = {name: str(index).encode() for index, name in enumerate(order.sampler.classes)}

    def work(job: tuple[Sample, NDArray[np.uint8]]) -> tuple[Sample, bytes]:
        sample, image = job
        return sample, encode(image, sample)

    drawn = (zip(*order.draw(samples), strict=True) for samples in order.batches())
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for batch in beside_the_model(drawn, work):
            for sample, png in batch:
                _add(tar, sample.file_name, png)
                _add(tar, f"{sample.name}.cls", labels[sample.label])
                _add(tar, f"{sample.name}.json", sample.to_json().encode())
            report([sample for sample, _ in batch])


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
