"""From a generator to a folder of PNG files, in shards.

``DIR/00000042.png`` is sample 42. Its text chunk ``synthetic`` is JSON: ``seed``, ``index``, ``label``, ``model``
(content hash). ``DIR/manifest-<start>-<stop>.csv`` has the columns ``path``, ``label``, ``index``, ``seed``, ``model``;
it is a data set that medsynth can read. ``.meta.json`` beside it, schema 1, says how the shard was computed.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, PngImagePlugin

from medsynth.artifact.philox import MAX_SEED, MAX_START, check_range
from medsynth.errors import OutputError
from medsynth.infer.batching import check_batch_size
from medsynth.infer.predictions import meta_path
from medsynth.outputs import atomic_write, ensure_folder, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.infer.sampler import Sampler
    from medsynth.progress import OnProgress

__all__ = ["MARK", "Shard", "generate_folder"]

MARK = "synthetic"
"""Key of the PNG text chunk that says that a file is no patient's image."""

_SCHEMA = 1
_DIGITS = 8
_WORKERS = 4


@dataclass(frozen=True, slots=True)
class _Mark:
    """What tells one sample from all others."""

    seed: int
    index: int
    label: str
    model: str

    @property
    def file_name(self) -> str:
        return f"{self.index:0{_DIGITS}d}.png"


@dataclass(frozen=True, slots=True)
class Shard:
    """What :func:`generate_folder` leaves: the manifest, how many images were written, how many stood there already."""

    manifest: Path
    written: int
    kept: int


def generate_folder(
    sampler: Sampler,
    out: str | Path,
    count: int,
    *,
    label: str | int | None = None,
    seed: int = 0,
    start: int = 0,
    batch_size: int = 64,
    on_progress: OnProgress | None = None,
) -> Shard:
    """Write the samples ``start`` to ``start + count - 1`` as PNG files, with a manifest.

    The folder may hold other shards. A file that is there already and is marked as this very sample is kept, so a
    killed run is repeated to go on.

    Args:
        sampler: The generator.
        out: The folder.
        count: How many images, at least 1.
        label: A class name or its index; by default the classes in turn (sample i has i mod classes).
        seed: 0 to 2**64 - 1.
        start: Index of the first sample, 0 to 2**63 - ``count``.
        batch_size: Images in one run, at least 1.
        on_progress: Called after each batch with (images done, images in all, no figures).

    Raises:
        ConfigError: No such class, or a number outside its range.
        OutputError: The folder cannot be written to, a file in it is another image, or the disk is full.
    """
    check_range("seed", seed, 0, MAX_SEED)
    check_range("start", start, 0, MAX_START)
    check_range("count", count, 1, MAX_START - start)
    check_batch_size(batch_size)
    sampler.labels_for(0, label)  # A class that does not exist is told before a folder is made.
    model = sampler.metadata.content_hash

    def marks_from(first: int) -> list[_Mark]:
        """Of one batch: those of a million images need not stand in memory."""
        labels = sampler.labels_for(min(batch_size, count - first), label, start + first).tolist()
        return [_Mark(seed, start + first + row, sampler.classes[index], model) for row, index in enumerate(labels)]

    folder = ensure_folder(out)
    written = 0
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        for first in range(0, count, batch_size):
            marks = marks_from(first)
            missing = [row for row, mark in enumerate(marks) if not _is_there(folder / mark.file_name, mark)]
            if missing:
                images = sampler.sample(len(marks), label=label, seed=seed, start=start + first, batch_size=batch_size)
                jobs = [pool.submit(_save, images[row], marks[row], folder) for row in missing]
                for job in jobs:
                    job.result()
                written += len(missing)
            if on_progress is not None:
                on_progress(first + len(marks), count, {})
    manifest = folder / f"manifest-{start:0{_DIGITS}d}-{start + count:0{_DIGITS}d}.csv"
    write_json(meta_path(manifest), {"schema": _SCHEMA, **sampler.session.facts(), "seed": seed, "images": count})
    _write_manifest(manifest, (mark for first in range(0, count, batch_size) for mark in marks_from(first)))
    return Shard(manifest, written=written, kept=count - written)


def _is_there(path: Path, mark: _Mark) -> bool:
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
    if found != asdict(mark):
        raise OutputError(
            f"{path}: is there already, but is not sample {mark.index} of this model with seed {mark.seed} and label "
            f"{mark.label}. Choose another --out or --start."
        )
    return True


def _save(pixels: NDArray[Any], mark: _Mark, folder: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text(MARK, json.dumps(asdict(mark)))
    with atomic_write(folder / mark.file_name) as temporary:
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(temporary, pnginfo=text)


def _write_manifest(path: Path, marks: Iterable[_Mark]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label", "index", "seed", "model"])
        writer.writerows([mark.file_name, mark.label, mark.index, mark.seed, mark.model] for mark in marks)
