"""Inputs for models of others, and what must come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.artifact.golden import CpuRunner, largest_difference
from medsynth.benchmark.inputs import Batch
from medsynth.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from medsynth.artifact.contract import TensorInfo
    from medsynth.infer.model import OpenModel

__all__ = ["ReferencePool"]

_BATCHES = 3
# Of the largest value: above what TF32 and float16 cost, far below what a wrong result costs.
_TOLERANCE = 0.02


class ReferencePool:
    """Noise for any model, and the outputs that plain onnxruntime on the CPU gives for it.

    Differences are fractions of the largest value of an output, whatever its unit.
    """

    tolerance = _TOLERANCE
    least_images = 0

    def __init__(self, model: OpenModel, *, image_size: int | None = None, seed: int = 0) -> None:
        """Prepare for a model.

        Args:
            model: Any open model.
            image_size: Length of free axes other than the first.
            seed: Of the noise.

        Raises:
            ArtifactError: An input of text or of another kind that noise cannot fill.
        """
        self._model = model
        self._image_size = image_size
        self._random = np.random.default_rng(seed)
        self._known: dict[int, list[tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]]] = {}

    def batch(self, size: int) -> Batch:
        """One of a few batches of this size; the outputs of each are computed when the size is first asked for."""
        if size not in self._known:
            reference = CpuRunner(str(self._model.path))
            drawn = [{info.name: self._draw(info, size) for info in self._model.inputs} for _ in range(_BATCHES)]
            self._known[size] = [(feeds, reference.run(feeds)) for feeds in drawn]
        chosen = int(self._random.integers(_BATCHES))
        return Batch(self._known[size][chosen][0], np.arange(size), np.full(size, chosen), size)

    def difference(self, batch: Batch, outputs: Mapping[str, NDArray[Any]]) -> float:
        """Largest difference of any output, as a fraction of its largest value."""
        _, known = self._known[len(batch.slots)][int(batch.golden_rows[0])]
        return max(
            largest_difference(outputs[name], values.astype(np.float64)) / max(float(np.abs(values).max()), 1e-12)
            for name, values in known.items()
        )

    def _draw(self, info: TensorInfo, size: int) -> NDArray[Any]:
        shape = self._shape(info, size)
        if info.dtype in {"float32", "float16", "float64"}:
            return self._random.random(shape, np.float32).astype(info.dtype)
        if info.dtype == "uint8":
            return self._random.integers(0, 256, shape, np.uint8)
        if info.dtype in {"bool", "int8", "int16", "int32", "int64"}:
            # 0 and 1 are valid indices and flags of nearly everything.
            return self._random.integers(0, 2, shape).astype(info.dtype)
        raise ArtifactError(f"{self._model.path}: the input {info.name} {info} cannot be filled with noise.")

    def _shape(self, info: TensorInfo, size: int) -> tuple[int, ...]:
        first, *others = info.shape or (size,)
        if isinstance(first, int) and first != size and info.shape:
            raise ConfigError(
                f"{self._model.path}: the input {info.name} {info} takes batches of {first} only. "
                f"Say --batch-sizes {first}."
            )
        free = [axis for axis in others if not isinstance(axis, int)]
        if free and self._image_size is None:
            raise ConfigError(
                f"{self._model.path}: the input {info.name} {info} has free axes besides the batch. Say --image-size N."
            )
        rest = tuple(axis if isinstance(axis, int) else int(self._image_size or 0) for axis in others)
        return (size, *rest) if info.shape else ()
