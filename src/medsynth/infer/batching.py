"""Any number of rows through a model that sees a few batch sizes only.

The sizes are the batch size halved again and again. A remainder is padded to the next of them, so that a provider that
searches its algorithms anew for every shape (cuDNN) does so a few times; where memory runs out, the next smaller size
is taken from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import ConfigError, MemoryRanOutError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BatchRunner", "Ran", "check_batch_size", "ladder"]


@dataclass(frozen=True, eq=False, slots=True)
class Ran:
    """What came out, and how.

    Attributes:
        outputs: Every output by name, with as many rows as went in.
        sizes: Batch size of each run of the model, padding included.
    """

    outputs: dict[str, NDArray[Any]]
    sizes: tuple[int, ...]


class BatchRunner:
    """Splits, pads, and goes on with smaller batches where memory ran out."""

    def __init__(self, run: Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]], fixed: int | None) -> None:
        """Wrap a model.

        Args:
            run: From feeds to outputs, all of them with the batch as their first axis.
            fixed: The one batch size that the graph takes; ``None`` where it is free.
        """
        self._run = run
        self._fixed = fixed
        self._fits: int | None = None  # Set when memory ran out above it.

    def run(self, feeds: Mapping[str, NDArray[Any]], batch_size: int) -> Ran:
        """Run all rows; no row as well, so that empty results have their shapes.

        Raises:
            ConfigError: ``batch_size`` is below 1.
            MemoryRanOutError: A single row does not fit.
        """
        check_batch_size(batch_size)
        sizes = ladder(batch_size, self._fixed)
        rows = len(next(iter(feeds.values())))
        parts: list[dict[str, NDArray[Any]]] = []
        ran: list[int] = []
        done = 0
        while done < rows or not parts:
            allowed = [size for size in sizes if self._fits is None or size <= self._fits] or sizes[-1:]
            count = min(rows - done, allowed[0])
            size = min(size for size in allowed if size >= count)
            try:
                outputs = self._run({name: _pad(values[done : done + count], size) for name, values in feeds.items()})
            except MemoryRanOutError:
                if size == sizes[-1]:
                    raise
                self._fits = size - 1
                continue
            parts.append({name: values[:count] for name, values in outputs.items()})
            ran.append(size)
            done += count
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return Ran(joined, tuple(ran))


def ladder(batch_size: int, fixed: int | None = None) -> tuple[int, ...]:
    """The batch sizes that a model gets to see, largest first.

    >>> ladder(24)
    (24, 12, 6, 3, 1)
    """
    return (fixed,) if fixed is not None else tuple(_halves(batch_size))


def _halves(size: int) -> Iterator[int]:
    while size:
        yield size
        size //= 2


def _pad(rows: NDArray[Any], size: int) -> NDArray[Any]:
    if len(rows) == size:
        return rows
    padded = np.zeros((size, *rows.shape[1:]), rows.dtype)
    padded[: len(rows)] = rows
    return padded


def check_batch_size(batch_size: int) -> None:
    """Refuse a batch size below 1.

    Raises:
        ConfigError: It is.
    """
    if batch_size < 1:
        raise ConfigError(f"batch size must be at least 1. Got {batch_size}.")
