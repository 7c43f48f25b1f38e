"""The frozen part of a network, computed once for each augmented view of each image, and kept on disk.

FOLDER/<key>/view-000.npy ...    float32 (images, ...) each, memory-mapped when read

The key is a hash over the frozen network (structure and weights), the pixels, the augmentation and the arithmetic, so
a file never serves another computation. A view appears whole or not at all. Until then it is ``view-000.partial``, and
``view-000.json`` beside it says how many of its rows are safe on disk, from which a killed extraction goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import keras
import numpy as np
import tensorflow as tf

from medsynth.errors import MedsynthError, OutputError
from medsynth.outputs import ensure_folder, write_json
from medsynth.train.augment import augment, ranges
from medsynth.train.precision import precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Plan", "extract", "open_views", "plan_views"]

_BATCH = 64
"""Images in a step of the extraction; part of what decides the augmentation's random numbers."""

_NOTED = 8
"""Steps between two notes of how far a view has come."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """What an extraction will leave on disk.

    Attributes:
        folder: Where its views lie.
        views: How many augmented views of each image.
        images: uint8 (n, height, width, channels).
        trunk: From images to float32 (n, ...).
        seed: Of the augmentation.
        noise: Of the augmentation, see :func:`medsynth.train.augment.augment`; ``None``: no augmentation, one view.
        bfloat16: Whether convolutions multiply in bfloat16.
    """

    folder: Path
    views: int
    images: NDArray[np.uint8]
    trunk: keras.Model
    seed: int
    noise: float | None
    bfloat16: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one view."""
        return (len(self.images), *self.trunk.output.shape[1:])

    @property
    def bytes(self) -> int:
        """Of all views."""
        return self.views * int(np.prod(self.shape)) * 4

    def file(self, view: int) -> Path:
        """Where a view lies."""
        return self.folder / f"view-{view:03d}.npy"

    def misfit(self, limit: float) -> str | None:
        """Why the views cannot be kept, or ``None``.

        Args:
            limit: Bytes that they may take.
        """
        needed = f"{self.views} views need {self.bytes / 1e9:.2f} GB"
        if self.bytes > limit:
            return f"{needed}, above cache_gb={limit / 1e9:g}"
        missing = sum(not self.file(view).exists() for view in range(self.views))
        if missing * self.bytes / self.views > shutil.disk_usage(ensure_folder(self.folder.parent)).free:
            return f"{needed}, more than is free in {self.folder.parent}"
        return None


def plan_views(
    trunk: keras.Model,
    images: NDArray[np.uint8],
    folder: Path,
    *,
    views: int,
    seed: int,
    noise: float | None,
    bfloat16: bool,
) -> Plan:
    """Name the views of images by what they are computed from; see :class:`Plan` for the arguments."""
    told = {
        "structure": [_describe(layer) for layer in trunk.layers],
        "pixels": [list(images.shape), hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()],
        "augmentation": None if noise is None else [ranges(), seed, noise, _BATCH],
        "bfloat16": bfloat16,
        "versions": [tf.__version__, keras.__version__],
    }
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
    for variable in trunk.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)).data)
    # The constants of operations (a mean to subtract, say) stand in no configuration; what they do to pixels does.
    probe = np.arange(np.prod(images.shape[1:]), dtype=np.int64).reshape(1, *images.shape[1:]) * 37 % 256
    answer = keras.ops.convert_to_numpy(trunk(probe.astype(np.uint8), training=False)).astype(np.float64)
    digest.update(f"{np.abs(answer).mean():.3e}".encode())
    return Plan(
        folder=folder / digest.hexdigest()[:24],
        views=1 if noise is None else views,
        images=images,
        trunk=trunk,
        seed=seed,
        noise=noise,
        bfloat16=bfloat16,
    )


def extract(plan: Plan, report: Callable[[int, int], None]) -> tuple[NDArray[np.float32], ...]:
    """Compute the views that are missing and open all of them.

    Args:
        plan: From :func:`plan_views`.
        report: Called after each step with (images done, images in all), over all views.

    Raises:
        OutputError: The disk is full or cannot be written to.
        MedsynthError: A file changed while it was in use.
    """
    step, count = _step(plan), len(plan.images)
    for view in range(plan.views):
        if _opened(plan, view) is None:
            _write_view(plan, view, step, partial(_tell, report, view * count, plan.views * count))
    return open_views(plan)


def _tell(report: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    report(before + done, total)


def _write_view(plan: Plan, view: int, step: Any, tell: Callable[[int], None]) -> None:
    """Append batches to a partial file, note now and then how many rows are safe on disk, and rename it at the end."""
    unfinished, note = plan.file(view).with_suffix(".partial"), plan.file(view).with_suffix(".json")
    count = len(plan.images)
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        done = _rows_noted(note, unfinished)
        with unfinished.open("r+b" if done else "wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": plan.shape}
            np.lib.format.write_array_header_2_0(file, header)
            file.seek(done * plan.bytes // (plan.views * count), os.SEEK_CUR)
            file.truncate()
            for start in range(done, count, _BATCH):
                images = plan.images[start : start + _BATCH]
                counter = tf.constant(view * len(range(0, count, _BATCH)) + start // _BATCH, tf.int64)
                file.write(np.ascontiguousarray(step(images, counter).numpy(), "<f4").data)
                if (start // _BATCH) % _NOTED == _NOTED - 1:
                    _to_disk(file)
                    write_json(note, {"rows": start + len(images)})
                tell(start + len(images))
            _to_disk(file)
        unfinished.replace(plan.file(view))
        note.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"{unfinished}: cannot be written ({error.strerror or error}). Make room and go on with --resume, or begin "
            "again in another --out with the option 'cache' (another folder for them) or cache_gb=0 (to do without)."
        ) from error


def _rows_noted(note: Path, unfinished: Path) -> int:
    """Rows of a partial file that can be trusted."""
    try:
        return int(json.loads(note.read_text(encoding="utf-8"))["rows"]) if unfinished.exists() else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def open_views(plan: Plan) -> tuple[NDArray[np.float32], ...]:
    """The views, memory-mapped.

    Raises:
        MedsynthError: One is missing or damaged.
    """
    found = [_opened(plan, view) for view in range(plan.views)]
    for view, array in enumerate(found):
        if array is None:
            raise MedsynthError(f"{plan.file(view)}: was removed or changed by another process. Start again.")
    return tuple(array for array in found if array is not None)


def _opened(plan: Plan, view: int) -> NDArray[np.float32] | None:
    try:
        array = np.load(plan.file(view), mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == plan.shape and array.dtype == np.float32 else None


def _step(plan: Plan) -> Any:
    def compute(images: Any, counter: Any) -> Any:
        if plan.noise is not None:
            images = augment(images, tf.stack([tf.constant(plan.seed, tf.int64), counter]), plan.noise)
        return plan.trunk(images, training=False)

    signature = [tf.TensorSpec((None, *plan.images.shape[1:]), tf.uint8), tf.TensorSpec((), tf.int64)]
    traced = tf.function(compute, input_signature=signature)

    def step(images: Any, counter: Any) -> Any:
        with precision(plan.bfloat16):
            return traced(images, counter)

    return step


def _describe(layer: Any) -> list[Any]:
    """A layer without its name, which Keras numbers by what else the process has built."""
    config = {key: value for key, value in layer.get_config().items() if key != "name"}
    return [type(layer).__name__, config, str(getattr(layer.output, "shape", None))]
