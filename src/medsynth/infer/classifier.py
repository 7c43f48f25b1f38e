"""A classifier, served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.dataset.table import Skipped
from medsynth.errors import DataError
from medsynth.infer.batching import check_batch_size
from medsynth.infer.pipeline import decode_batches
from medsynth.infer.predictions import Predictions
from medsynth.infer.served import Served
from medsynth.infer.sources import Sources, gather
from medsynth.infer.tally import Rows, Tally

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset import Dataset
    from medsynth.images import ImageSource
    from medsynth.progress import OnProgress

__all__ = ["Classifier"]

_NOT_FINITE = "the model's answer is not finite."


class Classifier(Served):
    """Class probabilities for images; :func:`~medsynth.infer.load_model` makes one.

    :attr:`image` is what :meth:`run` takes, and what :meth:`predict` makes of any other image.
    """

    def run(self, images: NDArray[np.uint8], *, batch_size: int = 32) -> dict[str, NDArray[Any]]:
        """Run the model on prepared images.

        Args:
            images: uint8 (n, height, width, channels) as :attr:`image` says, from :func:`medsynth.images.load_image`.
            batch_size: Images in one run, at least 1.

        Returns:
            Every output of the model over all n images, float32: ``logits`` and ``probabilities`` (n, classes),
            ``features`` (n, d), and ``activations`` (n, h, w, c) and ``decision`` int64 (n,) where the model has them.

        Raises:
            DataError: The images have another shape or dtype.
            ConfigError: ``batch_size`` is below 1.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.image.shape:
            raise DataError(
                f"{self.path.name}: images must be uint8 of shape (n, {', '.join(map(str, self.image.shape))}). "
                f"Got {images.dtype} {images.shape}. medsynth.images.load_images prepares any image."
            )
        return self._runner.run({"images": images}, batch_size).outputs

    def predict(
        self,
        sources: str | Path | Dataset | Iterable[ImageSource],
        *,
        batch_size: int = 32,
        on_progress: OnProgress | None = None,
    ) -> Predictions:
        """Classify images of any size and kind; threads decode ahead of the model, in bounded memory.

        Args:
            sources: A folder (walked to its leaves, natural order), a CSV with a column ``path``, an image file, a data
                set, or paths and arrays.
            batch_size: Images in one run, at least 1.
            on_progress: Called after each batch with (inputs done, inputs in all, no figures).

        Returns:
            One row for each image that could be read and has a finite answer, in input order; the others are in
            ``skipped``.

        Raises:
            DataError: There is no image, or none has a row.
            ConfigError: ``batch_size`` is below 1.
        """
        gathered = gather(sources)

        def done() -> Iterator[Rows]:
            for rows in self.batches(gathered, batch_size=batch_size):
                yield rows
                if on_progress is not None:
                    on_progress(rows.stop, len(gathered), {})

        return self.collect(gathered, done())

    def batches(self, sources: Sources, *, batch_size: int, first: int = 0) -> Iterator[Rows]:
        """The results batch by batch, from the input ``first`` (a multiple of ``batch_size``) on."""
        check_batch_size(batch_size)
        pin = self.session.device == "cuda"
        for batch in decode_batches(sources, self.image, batch_size=batch_size, first=first, pin=pin):
            sizes: tuple[int, ...] = ()
            probabilities = np.empty((len(batch.images), len(self.classes)), np.float32)
            if batch.readable.any():
                # Unreadable inputs keep their slot, so that a row never depends on what else could be read.
                ran = self._runner.run({"images": batch.images}, batch_size)
                probabilities, sizes = ran.outputs["probabilities"], ran.sizes
            # No comparison with a NaN is true, so that a threshold would make it the other class, as if it were sure.
            answered = batch.readable & np.isfinite(probabilities).all(axis=1)
            slots = np.flatnonzero(answered)
            unread = iter(batch.skipped)
            skipped = tuple(
                Skipped(sources.names[batch.start + slot], _NOT_FINITE) if batch.readable[slot] else next(unread)
                for slot in np.flatnonzero(~answered).tolist()
            )
            indices = tuple((slots + batch.start).tolist())
            yield Rows(batch.start, batch.start + len(batch.images), indices, probabilities[slots], skipped, sizes)

    def collect(self, sources: Sources, done: Iterable[Rows]) -> Predictions:
        """Join the results of all batches.

        Raises:
            DataError: No image has a result.
        """
        tally = Tally()
        parts = list(tally.counting(done))
        return Predictions(
            names=tuple(sources.names[index] for rows in parts for index in rows.indices),
            probabilities=np.concatenate([rows.probabilities for rows in parts]),
            classes=self.classes,
            positive=self.metadata.positive,
            threshold=self.metadata.threshold,
            skipped=tuple(tally.skipped),
            facts={**self.session.facts(), "batches": tally.batches()},
        )
