"""One NumPy archive, which :func:`medsynth.load_dataset` reads.

``images`` uint8 (n, height, width), or (n, height, width, 3); ``labels`` int64 (n,), indices into ``classes``
(text); ``index`` int64 (n,), of the samples; ``synthetic``: JSON with ``seed`` and ``model`` (content hash),
and ``truncation``, ``classifier`` (content hash) and ``confidence`` where they were used.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from medsynth.infer.samples import MARK, Order, Report

if TYPE_CHECKING:
    from typing import IO

    from numpy.typing import NDArray

__all__ = ["write_npz"]


def write_npz(path: Path, order: Order, report: Report) -> None:
    """Write all samples, a batch in memory at a time; not compressed, as ``numpy.savez``.

    Args:
        path: The file.
        order: Which samples.
        report: Called after each batch with its samples.
    """
    sampler, index, done = order.sampler, np.empty(order.count, np.int64), 0
    shape = sampler.image.shape[:2] if sampler.image.channels == 1 else sampler.image.shape
    with zipfile.ZipFile(path, "w") as archive:
        with _entry(archive, "images") as entry:
            header = {"descr": "|u1", "fortran_order": False, "shape": (order.count, *shape)}
            npy.write_array_header_1_0(entry, header)
            for samples in order.batches():
                drawn, images = order.draw(samples)
                entry.write(images.tobytes())
                index[done : done + len(drawn)] = [sample.index for sample in drawn]
                done += len(drawn)
                report(drawn)
        arrays: dict[str, NDArray[Any]] = {
            "labels": sampler.labels_for(order.count, order.label, order.start),
            "classes": np.array(sampler.classes),
            "index": index,
            MARK: np.array(json.dumps({"seed": order.seed, "model": sampler.metadata.content_hash, **order.knobs()})),
        }
        for name, values in arrays.items():
            with _entry(archive, name) as entry:
                npy.write_array(entry, values, allow_pickle=False)


def _entry(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    # ZipInfo's own date, 1980: the same order gives the same bytes.
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)
