"""Results as they pass by, and what is counted of them, so that none has to stay in memory for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medsynth.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from medsynth.dataset import Skipped

__all__ = ["Rows", "Tally"]


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Results of the inputs ``start`` to ``stop - 1``.

    Attributes:
        start: Index of the first input.
        stop: Index behind the last one.
        indices: Those that have a result.
        probabilities: float32 (results, classes), finite.
        skipped: Those that could not be read, or to which the model gave no finite answer.
        sizes: Batch size of each run of the model, padding included.
    """

    start: int
    stop: int
    indices: tuple[int, ...]
    probabilities: NDArray[np.float32]
    skipped: tuple[Skipped, ...]
    sizes: tuple[int, ...]


class Tally:
    """Counts of a run.

    Attributes:
        images: Images with a result.
        skipped: Images without one; they alone are kept.
        sizes: How often the model ran at which batch size.
    """

    def __init__(self) -> None:
        self.images = 0
        self.skipped: list[Skipped] = []
        self.sizes: Counter[int] = Counter()

    def counting(self, parts: Iterable[Rows]) -> Iterator[Rows]:
        """The same results, counted as they pass.

        Raises:
            DataError: All have passed, and no image has a result.
        """
        inputs = 0
        for rows in parts:
            inputs += rows.stop - rows.start
            self.images += len(rows.indices)
            self.skipped += rows.skipped
            self.sizes.update(rows.sizes)
            yield rows
        if not self.images:
            first = f"{self.skipped[0].name}: {self.skipped[0].reason}" if self.skipped else "no image was given"
            raise DataError(f"none of {inputs} images could be read and classified. The first: {first}")

    def batches(self) -> dict[str, Any]:
        """How often the model ran at which batch size, and the share of its rows that gave no result, like padding."""
        ran = sum(size * times for size, times in self.sizes.items())
        wasted = ran - self.images
        return {
            "sizes": {str(size): self.sizes[size] for size in sorted(self.sizes, reverse=True)},
            "wasted_rows": wasted,
            "waste": round(wasted / ran, 6),
        }
