"""What is fed while the clock runs: real images or noise in shuffled order, golden rows among them, never zeros."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.artifact.golden import golden_inputs, golden_values, largest_difference, remake_inputs
from medsynth.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from medsynth.artifact import Metadata

__all__ = ["Batch", "InputPool"]

_POOL_SEED = 1
_POOL_SIZE = 12
# Not below this many golden rows in a batch of any size: what is timed is also what is checked.
_GOLDEN_ROWS = 1


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """One batch: its feeds, and which golden row stands in which slot."""

    feeds: Mapping[str, NDArray[Any]]
    slots: NDArray[np.int64]
    golden_rows: NDArray[np.int64]


class InputPool:
    """Draws shuffled batches for a model and checks what comes out for the golden rows in them.

    Attributes:
        tolerance: Largest difference from the golden outputs that is allowed.

    Raises:
        ArtifactError: The artefact has no golden inputs, or they cannot be remade.
    """

    def __init__(self, metadata: Metadata, *, latent: int, seed: int = 0) -> None:
        golden = metadata.golden
        if golden is None:
            raise ArtifactError("the metadata has no golden inputs. Write the file again with medsynth export.")
        self.tolerance = golden.tolerance
        self._output = golden.output
        self._golden = remake_inputs(metadata, latent=latent)
        self._values = golden_values(metadata)
        self._others = golden_inputs(golden.recipe, _POOL_SEED, _POOL_SIZE, metadata, latent=latent)
        self._random = np.random.default_rng(seed)

    def batch(self, size: int) -> Batch:
        """A fresh batch: at least one golden row, the rest drawn at random, all in random order."""
        slots = self._random.permutation(size)[: max(_GOLDEN_ROWS, size // 8)]
        rows = self._random.integers(len(self._values), size=len(slots))
        drawn = self._random.integers(_POOL_SIZE, size=size)
        feeds = {}
        for name, values in self._others.items():
            feeds[name] = values[drawn]
            feeds[name][slots] = self._golden[name][rows]
        return Batch(feeds, slots, rows)

    def difference(self, batch: Batch, outputs: Mapping[str, NDArray[Any]]) -> float:
        """Largest difference between the golden rows' outputs and what was recorded for them."""
        return largest_difference(outputs[self._output][batch.slots], self._values[batch.golden_rows])
