"""Calibration: between which values do the activations lie, and around which mean?

The range is the smallest and the largest value seen; :meth:`Spread.narrowed` gives up rare values for finer steps. How
much of that is good no single tensor can tell (ranges of least squared error made more decisions flip), only the
network's output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.export.precision.graph import open_session

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

__all__ = ["Spread", "measure"]


@dataclass(frozen=True, eq=False, slots=True)
class Spread:
    """What calibration saw of one tensor.

    Attributes:
        low: Smallest value, or 0 if that is smaller: zero must be exact.
        high: Largest value, or 0 if that is larger.
        means: Mean of each channel (axis 1 of images, the last of rows).
    """

    low: float
    high: float
    means: NDArray[np.float64]

    def narrowed(self, share: float) -> Spread:
        """The same with a share (above 0, at most 1) of the range: what lies beyond is cut off."""
        return replace(self, low=self.low * share, high=self.high * share)


def measure(
    model: onnx.ModelProto,
    tensors: Iterable[str],
    batches: Iterable[Mapping[str, NDArray[Any]]],
) -> dict[str, Spread]:
    """Spread of each tensor over real inputs; ranges of noise are not those of images.

    Args:
        model: The float32 model.
        tensors: Names of float32 tensors.
        batches: Inputs.
    """
    names = list(dict.fromkeys(tensors))
    session = open_session(model, extra_outputs=names)
    spreads: dict[str, Spread] = {}
    rows = 0
    for batch in batches:
        count = len(next(iter(batch.values())))
        for name, values in zip(names, session.run(names, dict(batch)), strict=True):
            axes = (0, 2, 3) if values.ndim == 4 else tuple(range(values.ndim - 1))
            low, high, means = float(values.min()), float(values.max()), values.mean(axis=axes, dtype=np.float64)
            before = spreads.get(name, Spread(0.0, 0.0, np.zeros_like(means)))
            weighted = (before.means * rows + means * count) / (rows + count)
            spreads[name] = Spread(min(before.low, low), max(before.high, high), weighted)
        rows += count
    return spreads
