"""What is fed while the clock runs, never zeros, and what must come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from medsynth.artifact.golden import golden_inputs, golden_values, largest_difference, remake_inputs
from medsynth.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from medsynth.artifact import Metadata

__all__ = ["Batch", "GoldenRows", "InputPool", "Pool"]

_POOL_SEED = 1
_POOL_SIZE = 12
# One row in so many is a golden one: what is timed is also what is checked.
_SPACING = 8


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """One batch: its feeds, which row with known outputs stands in which slot, and how many images it counts for."""

    feeds: Any
    slots: NDArray[np.int64]
    golden_rows: NDArray[np.int64]
    counted: int


class Pool(Protocol):
    """Where batches come from.

    Attributes:
        tolerance: Largest difference from the known outputs that is allowed.
        least_images: So many must be timed for one row with known outputs to be among them.
    """

    tolerance: float
    least_images: int

    def batch(self, size: int) -> Batch:
        """The next batch."""

    def difference(self, batch: Batch, outputs: Mapping[str, NDArray[Any]]) -> float:
        """How far the outputs of the checked rows are from what is known."""


class GoldenRows:
    """The golden inputs of an artefact, and what it records for them.

    Attributes:
        inputs: By name, with ``count`` rows each.
        count: How many.
        tolerance: Largest difference from the recorded outputs that is allowed.

    Raises:
        ArtifactError: The artefact has none, or they cannot be remade.
    """

    def __init__(self, metadata: Metadata, *, latent: int = 0) -> None:
        if metadata.golden is None:
            raise ArtifactError("the metadata has no golden inputs. Write the file again with medsynth export.")
        self.inputs = remake_inputs(metadata, latent=latent)
        self.tolerance = metadata.golden.tolerance
        self._output = metadata.golden.output
        self._values = golden_values(metadata)
        self.count = len(self._values)

    def difference(self, batch: Batch, outputs: Mapping[str, NDArray[Any]]) -> float:
        """Largest difference between the golden rows' outputs and what was recorded for them."""
        return largest_difference(outputs[self._output][batch.slots], self._values[batch.golden_rows])


class InputPool:
    """Draws shuffled batches for an artefact: one row in eight is a golden one, at least one in the first batch.

    Attributes:
        tolerance: Largest difference from the golden outputs that is allowed.
        least_images: So many must be timed for a golden row to be among them.

    Raises:
        ArtifactError: The artefact has no golden inputs, or they cannot be remade.
    """

    least_images = _SPACING

    def __init__(
        self, metadata: Metadata, *, latent: int = 0, images: NDArray[np.uint8] | None = None, seed: int = 0
    ) -> None:
        """Prepare for an artefact.

        Args:
            metadata: Of the artefact.
            latent: Length of a generator's noise row.
            images: uint8 (n, height, width, channels), drawn from beside the golden ones; phantom images or noise
                where there are none.
            seed: Of the order.
        """
        self._golden = GoldenRows(metadata, latent=latent)
        self.tolerance = self._golden.tolerance
        if images is not None:
            self._others = {"images": images}
        else:
            assert metadata.golden is not None
            self._others = golden_inputs(metadata.golden.recipe, _POOL_SEED, _POOL_SIZE, metadata, latent=latent)
        self._random = np.random.default_rng(seed)
        self._drawn = 0

    def batch(self, size: int) -> Batch:
        """A fresh batch, all rows in random order."""
        due = -(-(self._drawn + size) // _SPACING) - -(-self._drawn // _SPACING)
        self._drawn += size
        slots = self._random.permutation(size)[:due]
        rows = self._random.integers(self._golden.count, size=due)
        drawn = self._random.integers(len(next(iter(self._others.values()))), size=size)
        feeds = {}
        for name, values in self._others.items():
            feeds[name] = values[drawn]
            feeds[name][slots] = self._golden.inputs[name][rows]
        return Batch(feeds, slots, rows, size)

    def difference(self, batch: Batch, outputs: Mapping[str, NDArray[Any]]) -> float:
        """Largest difference between the golden rows' outputs and what was recorded for them."""
        return self._golden.difference(batch, outputs)
