"""Class probabilities of images, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth.infer.table import SCHEMA, Block, Decision, choose_writer, meta_path
from medsynth.outputs import atomic_write, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from medsynth.dataset.table import Skipped

__all__ = ["Predictions"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """Class probabilities of images.

    Attributes:
        names: Name of each image that could be read and has a finite answer, in input order.
        probabilities: float32 (n, classes).
        classes: Class names in column order.
        positive: The positive class.
        threshold: The positive class is decided at or above it; ``None``: the largest probability wins.
        skipped: The others, and why.
        facts: How it was computed: model, device, provider, nodes per provider, versions, batches.
    """

    names: tuple[str, ...]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    positive: str
    threshold: float | None
    skipped: tuple[Skipped, ...]
    facts: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def predicted(self) -> tuple[str, ...]:
        """The class decided for each image."""
        return self._decision(self.probabilities)

    @property
    def _decision(self) -> Decision:
        return Decision(self.classes, self.positive, self.threshold)

    def write(self, path: str | Path) -> None:
        """Write the table, and ``FILE.meta.json`` beside it, atomically; :mod:`medsynth.infer.table` has the columns.

        Args:
            path: Ends in ``.csv``, ``.jsonl`` or ``.parquet``.

        Raises:
            ConfigError: Another suffix.
            MissingExtraError: Parquet without the ``parquet`` extra.
            OutputError: The folder cannot be written to, or the disk is full.
        """
        write = choose_writer(path)
        quarantine = [asdict(entry) for entry in self.skipped]
        meta = {"schema": SCHEMA, **self.facts, **self._decision.to_dict(), "rows": len(self), "quarantine": quarantine}
        with atomic_write(path) as temporary:
            write([Block(self.names, self.predicted, self.probabilities)], self.classes, temporary)
            # Before the table: where that stands, its meta file stands too.
            write_json(meta_path(path), meta)
