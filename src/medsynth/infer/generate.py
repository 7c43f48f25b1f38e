"""From a generator to files: a folder of PNG files, one NPZ, or one WebDataset-style tar, in shards.

The suffix of the path decides. A manifest with the columns ``path``, ``label``, ``index``, ``seed``, ``model`` (content
hash) and ``synthetic`` (``true``) names every image: ``DIR/manifest-<start>-<stop>.csv``, which is a data set that
medsynth can read, or ``FILE.manifest.csv``. Where noise was truncated or images rejected, the columns ``truncation``,
``classifier`` (content hash) and ``confidence`` say so, and the marks too. ``.meta.json`` behind the manifest's name or
the file's, schema 1, says how the shard was computed. Each PNG has a text chunk ``synthetic`` with the facts of its row
as JSON. What else the containers hold is said in :mod:`~medsynth.infer.containers.folder`,
:mod:`~medsynth.infer.containers.npz` and :mod:`~medsynth.infer.containers.tar`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from medsynth.errors import ConfigError, OutputError
from medsynth.images import IMAGE_SUFFIXES
from medsynth.infer.containers.folder import write_folder
from medsynth.infer.containers.npz import write_npz
from medsynth.infer.containers.tar import write_tar
from medsynth.infer.journal import differences
from medsynth.infer.samples import Order, Report, Sample, open_manifest
from medsynth.infer.table import meta_path
from medsynth.outputs import atomic_write, ensure_folder, write_json

if TYPE_CHECKING:
    from medsynth.infer.rejection import Rejection
    from medsynth.infer.sampler import Sampler
    from medsynth.progress import OnProgress

__all__ = ["Shard", "generate_images"]

_SCHEMA = 1
_Written = TypeVar("_Written")
_FILES: dict[str, Callable[[Path, Order, Report], None]] = {".npz": write_npz, ".tar": write_tar}
_NOT_FOLDERS = IMAGE_SUFFIXES | {".csv", ".gz", ".h5", ".npy", ".onnx", ".tgz", ".zip"}


@dataclass(frozen=True, slots=True)
class Shard:
    """What :func:`generate_images` leaves: the manifest, how many images were written, how many stood there already.

    ``tried`` is how many samples were drawn for all of them, more than there are images where some were rejected.
    """

    manifest: Path
    written: int
    kept: int
    tried: int


def generate_images(
    sampler: Sampler,
    out: str | Path,
    count: int,
    *,
    label: str | int | None = None,
    seed: int = 0,
    start: int = 0,
    batch_size: int = 64,
    truncation: float | None = None,
    rejection: Rejection | None = None,
    on_progress: OnProgress | None = None,
) -> Shard:
    """Write the samples ``start`` to ``start + count - 1``, with a manifest.

    A folder may hold other shards; a file in it that is marked as this very sample is kept, so a killed run is repeated
    to go on. A ``.npz`` or ``.tar`` appears whole or not at all; one that is finished is left alone.

    Args:
        sampler: The generator.
        out: A folder, or a file that ends in ``.npz`` or ``.tar``.
        count: How many images, at least 1.
        label: A class name or its index; by default the classes in turn (sample i has i mod classes).
        seed: 0 to 2**64 - 1.
        start: Index of the first sample, 0 to 2**63 - ``count``; with ``rejection``, to 2**40 - ``count``.
        batch_size: Images in one run, at least 1.
        truncation: As :meth:`medsynth.infer.Sampler.sample`; recorded with the images, as is ``rejection``.
        rejection: Likewise. A shard is still a range of images, each of which has its own tries.
        on_progress: Called after each batch with (images done, images in all, no figures).

    Raises:
        ConfigError: No such class, a number outside its range, another suffix, or no confident image in so many tries.
        OutputError: It cannot be written to, other images are there already, or the disk is full.
    """
    order = Order(
        sampler=sampler,
        count=count,
        label=label,
        seed=seed,
        start=start,
        batch_size=batch_size,
        truncation=truncation,
        rejection=rejection,
    )
    target = Path(out)
    suffix = target.suffix.lower()
    if suffix in _NOT_FOLDERS:
        raise ConfigError(f"{out}: must be a folder (for PNG files), or end in .npz or .tar. Got {suffix}.")
    if suffix not in _FILES:
        manifest = ensure_folder(target) / f"manifest-{order.span}.csv"
        written, tried = _deliver(order, write_folder, target, manifest, meta_path(manifest), on_progress)
        return Shard(manifest, written, count - written, tried)
    manifest = Path(f"{out}.manifest.csv")
    if _is_finished(target, order):
        return Shard(manifest, 0, count, 0)
    ensure_folder(target.parent)
    with atomic_write(target) as temporary:
        # Manifest and meta before the file: where that stands, they stand too.
        _, tried = _deliver(order, _FILES[suffix], temporary, manifest, meta_path(target), on_progress)
    return Shard(manifest, count, 0, tried)


def _deliver(
    order: Order,
    write: Callable[[Path, Order, Report], _Written],
    target: Path,
    manifest: Path,
    meta_file: Path,
    on_progress: OnProgress | None,
) -> tuple[_Written, int]:
    """Write images, manifest and meta; what ``write`` returns, and how many samples were drawn."""
    done = tried = 0
    with open_manifest(manifest, order) as add:

        def report(samples: list[Sample]) -> None:
            nonlocal done, tried
            add(samples)
            done, tried = done + len(samples), tried + sum(sample.tries for sample in samples)
            if on_progress is not None:
                on_progress(done, order.count, {})

        report([])
        written = write(target, order, report)
    meta = {"schema": _SCHEMA, **order.sampler.session.facts(), "seed": order.seed, "images": order.count}
    asked = {**order.knobs(), **({"tried": tried} if order.rejection else {})}
    write_json(meta_file, {**meta, **asked, "identity": order.identity()})
    return written, tried


def _is_finished(target: Path, order: Order) -> bool:
    """Whether the file holds this order already.

    Raises:
        OutputError: It holds something else, which is not overwritten.
    """
    if not target.is_file():
        return False
    try:
        different = differences(json.loads(meta_path(target).read_text(encoding="utf-8"))["identity"], order.identity())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        different = ["origin"]
    if different:
        raise OutputError(
            f"{target}: is there already, but with another {' and '.join(different)}. "
            "Choose another --out, or remove it."
        )
    return True
