"""What a network learns from, batch by batch: pixels that are augmented on the way, or views that are cached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import tensorflow as tf

from medsynth.train.augment import augment
from medsynth.train.batches import epoch_batches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Change", "Examples", "augmentation"]

Change: TypeAlias = Callable[[Any, Any], Any]
"""From (step since the start of training, inputs of a batch) to other inputs; runs inside ``tf.data``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Examples:
    """Inputs of a network with labels and weights.

    Attributes:
        views: One or more arrays (n, ...) of the same images; epoch e takes view e mod their number.
        labels: int64 (n,).
        weights: float32 (n,), of each row in the loss.
        change: Of each batch of inputs.
    """

    views: tuple[NDArray[Any], ...]
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]
    change: Change | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def epoch(self, epoch: int, batch_size: int, seed: int) -> tuple[tf.data.Dataset, list[int]]:
        """The batches of one epoch, (inputs, labels, weights), and their sizes; a function of (epoch, seed) alone."""
        view = self.views[epoch % len(self.views)]
        batches = epoch_batches(len(self), batch_size, seed, epoch)

        def stream() -> Iterator[tuple[int, NDArray[Any], NDArray[np.int64], NDArray[np.float32]]]:
            for index, rows in enumerate(batches):
                yield epoch * len(batches) + index, view[rows], self.labels[rows], self.weights[rows]

        def prepare(step: Any, inputs: Any, labels: Any, weights: Any) -> tuple[Any, Any, Any]:
            return inputs if self.change is None else self.change(step, inputs), labels, weights

        signature = (
            tf.TensorSpec((), tf.int64),
            tf.TensorSpec((None, *view.shape[1:]), tf.as_dtype(view.dtype)),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None,), tf.float32),
        )
        dataset = tf.data.Dataset.from_generator(stream, output_signature=signature)
        return dataset.map(prepare).prefetch(tf.data.AUTOTUNE), [len(rows) for rows in batches]


def augmentation(seed: int, noise: float) -> Change:
    """Another augmentation of each image in every step."""

    def change(step: Any, images: Any) -> Any:
        return augment(images, tf.stack([tf.constant(seed, tf.int64), step]), noise)

    return change
