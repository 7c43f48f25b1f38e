"""A generator, served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.artifact.contract import latent_length
from medsynth.artifact.philox import MAX_START, check_range, noise
from medsynth.errors import ConfigError
from medsynth.infer.batching import check_batch_size
from medsynth.infer.served import Served

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.infer.rejection import Rejection
    from medsynth.infer.session import Session

__all__ = ["Sampler"]


class Sampler(Served):
    """Generated images of a class; :func:`~medsynth.infer.load_model` makes one. A label is an index into its classes.

    Attributes:
        latent: Length of a noise row.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.latent = latent_length(session.inputs)

    def labels_for(self, count: int, label: str | int | None = None, start: int = 0) -> NDArray[np.int64]:
        """The label of samples ``start`` to ``start + count - 1``: the one given, else sample i has i mod classes.

        Args:
            count: How many samples.
            label: A class name, or its index.
            start: Index of the first sample.

        Returns:
            int64 (count,).

        Raises:
            ConfigError: No such class.
        """
        classes = len(self.classes)
        if label is None:
            return (np.arange(count, dtype=np.int64) + start % classes) % classes
        if isinstance(label, str) and label in self.classes:
            return np.full(count, self.classes.index(label), np.int64)
        if not isinstance(label, str) and 0 <= label < classes:
            return np.full(count, label, np.int64)
        raise ConfigError(f"{self.path.name}: label must be one of {', '.join(self.classes)}. Got {label!r}.")

    def sample(
        self,
        count: int,
        *,
        label: str | int | None = None,
        seed: int = 0,
        start: int = 0,
        batch_size: int = 64,
        truncation: float | None = None,
        rejection: Rejection | None = None,
    ) -> NDArray[np.uint8]:
        """Generate the samples ``start`` to ``start + count - 1`` of a seed.

        Sample i of a seed has the same noise on every machine, batch size and shard.

        Args:
            count: How many images, at least 0.
            label: A class name or its index; by default the classes in turn (sample i has i mod classes).
            seed: 0 to 2**64 - 1.
            start: Index of the first sample, 0 to 2**63.
            batch_size: Images in one run, at least 1.
            truncation: Noise is no farther from 0 than this (at least 0.05): images nearer to the usual, and more
                alike. ``None``: as the generator was trained.
            rejection: Take only images that a classifier calls by their class; ``None``: all, as they come.

        Returns:
            uint8 (count, height, width, channels).

        Raises:
            ConfigError: No such class, a number outside its range, or no confident image in so many tries.
        """
        check_batch_size(batch_size)
        check_range("count", count, 0, MAX_START)
        labels = self.labels_for(count, label, start)
        images = np.empty((count, *self.image.shape), np.uint8)
        for first in range(0, count, batch_size):
            part = labels[first : first + batch_size]
            images[first : first + len(part)], _ = self.draw(
                part, start + first, seed=seed, batch_size=batch_size, truncation=truncation, rejection=rejection
            )
        return images

    def draw(
        self,
        labels: NDArray[np.int64],
        start: int,
        *,
        seed: int,
        batch_size: int,
        truncation: float | None = None,
        rejection: Rejection | None = None,
    ) -> tuple[NDArray[np.uint8], list[int]]:
        """One batch with these labels, and which sample of the seed each image is; else as :meth:`sample`.

        Returns:
            uint8 (n, height, width, channels), and n indices: ``start`` and the following, or with ``rejection`` those
            that were accepted in their places.
        """

        def make(rows: NDArray[np.int64], first: int) -> NDArray[np.uint8]:
            codes = noise(seed, first, len(labels), self.latent, truncation=truncation)
            feeds: dict[str, NDArray[Any]] = {"noise": codes[rows], "label": labels[rows]}
            images: NDArray[np.uint8] = self._runner.run(feeds, batch_size).outputs["images"]
            return images

        if rejection is not None:
            return rejection.choose(make, labels, self.classes, start)
        return make(np.arange(len(labels)), start), list(range(start, start + len(labels)))
