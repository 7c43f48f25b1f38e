"""Generated images that a classifier does not take for their class are drawn again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.artifact.philox import check_range
from medsynth.errors import ConfigError
from medsynth.images import load_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.infer.classifier import Classifier

__all__ = ["STRIDE", "TRIES", "Rejection"]

STRIDE = 2**40
"""From one try of an image to the next, in samples."""

TRIES = 100
"""At each image, where nothing else is said."""

_MOST_TRIES = 2**22


@dataclass(frozen=True, slots=True)
class Rejection:
    """Only images to whose class a classifier gives at least so much probability.

    Try t of image i is the sample i + t * 2**40 of the seed, with the label of image i; the first that is confident
    enough is taken. So an image depends on its own index alone, whatever happens to others, and is an ordinary sample.

    Attributes:
        classifier: It knows every class of the generator; images reach it through
            :func:`medsynth.images.load_image`, like any other.
        confidence: The least probability, above 0 and at most 1.
        tries: At each image, at most.
    """

    classifier: Classifier
    confidence: float
    tries: int = TRIES

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigError: A number is outside its range.
        """
        if not 0 < self.confidence <= 1:
            raise ConfigError(f"confidence must be above 0 and at most 1. Got {self.confidence}.")
        check_range("tries", self.tries, 1, _MOST_TRIES)

    def facts(self) -> dict[str, Any]:
        """What images carry: content hash of the classifier, and the confidence."""
        return {"classifier": self.classifier.metadata.content_hash, "confidence": self.confidence}

    def outputs(self, classes: tuple[str, ...]) -> NDArray[np.int64]:
        """Which output of the classifier is each class.

        Raises:
            ConfigError: It lacks one.
        """
        known = self.classifier.classes
        if missing := [name for name in classes if name not in known]:
            raise ConfigError(
                f"{self.classifier.path.name}: must know every class of the generator, but lacks {', '.join(missing)}. "
                f"Got {', '.join(known)}."
            )
        return np.array([known.index(name) for name in classes], np.int64)

    def choose(
        self,
        make: Callable[[NDArray[np.int64], int], NDArray[np.uint8]],
        labels: NDArray[np.int64],
        classes: tuple[str, ...],
        start: int,
    ) -> tuple[NDArray[np.uint8], list[int]]:
        """The first confident try at each image.

        Args:
            make: From rows of the batch and the index of its first sample to their images, uint8 (n, h, w, c).
            labels: Of each image of the batch, int64 (n,), indices into ``classes``.
            classes: The generator's.
            start: Index of the first image, 0 to 2**40 - n.

        Returns:
            uint8 (n, h, w, c), and the index of the sample that each image is.

        Raises:
            ConfigError: A class is not known, ``start`` is too large, or an image's tries are used up.
        """
        check_range("start", start, 0, STRIDE - len(labels))
        wanted = self.outputs(classes)[labels]
        waiting, best = np.arange(len(labels)), np.zeros(len(labels), np.float32)
        index = start + waiting
        images: NDArray[np.uint8] | None = None
        for attempt in range(self.tries):
            made = make(waiting, start + attempt * STRIDE)
            rows = self.classifier.run(load_images(list(made), self.classifier.image))["probabilities"]
            given = rows[np.arange(len(rows)), wanted[waiting]]
            kept = given >= self.confidence
            images = np.empty((len(labels), *made.shape[1:]), np.uint8) if images is None else images
            images[waiting[kept]] = made[kept]
            index[waiting[kept]] += attempt * STRIDE
            best[waiting] = np.maximum(best[waiting], given)
            waiting = waiting[~kept]
            if not waiting.size:
                return images, index.tolist()
        place = waiting[0]
        raise ConfigError(
            f"{self.classifier.path.name}: gave image {start + place} a probability of {best[place]:.3f} for "
            f"'{classes[labels[place]]}' at best, in {self.tries} tries ({len(labels) - len(waiting)} of "
            f"{len(labels)} images of its batch were accepted). Lower the confidence ({self.confidence}), raise the "
            "number of tries, or train the generator further."
        )
