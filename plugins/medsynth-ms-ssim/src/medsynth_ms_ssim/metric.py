"""The metric: which pairs, and what their mean says."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.plugins import ConfigError, DataError, Metric, Result
from medsynth_ms_ssim.similarity import WINDOW, ms_ssim

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MSSSIM"]

_RESAMPLES = 1000
_PAIRS_AT_ONCE = 16
_UNLABELLED = -1


class MSSSIM(Metric):
    """Mean multi-scale SSIM between pairs of generated images of one class; lower is more diverse.

    The diversity measure of the AC-GAN paper (Odena, Olah and Shlens 2017, section 4.2): a class whose images all look
    alike scores near 1. Compare it with the value of as many real images, given as candidate; far below that, the
    images may be noise. The reference is not used. Below 176 pixels fewer scales fit, so values are comparable only
    between images of one size.

    The value is the mean of the classes' means; without ``candidate_labels`` all images count as one class. The 95 %
    interval is a bootstrap over images, not over pairs, because pairs share images.

    Args:
        pairs: Pairs of each class, drawn at random without repetition; all, where a class has no more than that.
        seed: Of the pairs and of the bootstrap.
    """

    name = "ms-ssim"
    inputs = "images"
    higher_is_better = False
    punishes = "collapse"

    def __init__(self, *, pairs: int = 100, seed: int = 0) -> None:
        if pairs < 1:
            raise ConfigError(f"ms-ssim: option 'pairs' must be at least 1. Got {pairs}.")
        if seed < 0:
            raise ConfigError(f"ms-ssim: option 'seed' must be at least 0. Got {seed}.")
        self.pairs = pairs
        self.seed = seed
        self.reset()

    def reset(self) -> None:
        """Forget every update."""
        self._images: dict[int, list[NDArray[np.uint8]]] = {}

    def update(
        self,
        reference: NDArray[Any],  # noqa: ARG002
        candidate: NDArray[Any],
        *,
        reference_labels: NDArray[np.int64] | None = None,  # noqa: ARG002
        candidate_labels: NDArray[np.int64] | None = None,
    ) -> None:
        """Take generated images, uint8 (n, height, width, channels), at least 11x11 pixels and all of one size."""
        if candidate.dtype != np.uint8 or candidate.ndim != 4 or min(candidate.shape[1:3]) < WINDOW:
            raise DataError(
                f"metric 'ms-ssim' needs uint8 images (n, height, width, channels) of at least {WINDOW}x{WINDOW} "
                f"pixels. Got {candidate.dtype} {candidate.shape}."
            )
        if candidate_labels is not None and len(candidate_labels) != len(candidate):
            raise DataError(
                f"metric 'ms-ssim' needs one label for each of {len(candidate)} images. Got {len(candidate_labels)}."
            )
        labels = np.full(len(candidate), _UNLABELLED) if candidate_labels is None else candidate_labels
        for image, label in zip(candidate, labels, strict=True):
            self._images.setdefault(int(label), []).append(image.copy())

    def compute(self) -> Result:
        """The mean over classes, with its interval, and the mean of each class.

        Raises:
            medsynth.errors.DataError: No images, fewer than two of a class, or images of several sizes.
        """
        if not self._images:
            raise DataError("metric 'ms-ssim' needs at least two generated images of each class. Got none.")
        shapes = {image.shape for images in self._images.values() for image in images}
        if len(shapes) > 1:
            raise DataError(f"metric 'ms-ssim' needs images of one size. Got {sorted(shapes)}.")
        means, resampled = {}, []
        for label, images in sorted(self._images.items()):
            if len(images) < 2:
                raise DataError(
                    f"metric 'ms-ssim' needs at least two generated images of each class. Got one of class {label}."
                )
            means[label], draws = self._class_mean(images)
            resampled.append(draws)
        low, high = np.nanpercentile(np.mean(resampled, axis=0), (2.5, 97.5))
        return Result(
            value=float(np.mean(list(means.values()))),
            low=float(low),
            high=float(high),
            per_class={label: mean for label, mean in means.items() if label != _UNLABELLED},
        )

    def _class_mean(self, images: list[NDArray[np.uint8]]) -> tuple[float, NDArray[np.float64]]:
        """Mean over the pairs of one class, and the same mean over bootstrap resamples of its images."""
        # In the order of their content, so that the pairs do not depend on the order of the rows.
        in_order = sorted(images, key=_digest)
        stack = np.stack(in_order)
        random = np.random.default_rng(self.seed)
        first, second = _pairs(len(stack), self.pairs, random)
        similarity = np.concatenate(
            [
                ms_ssim(stack[first[at : at + _PAIRS_AT_ONCE]], stack[second[at : at + _PAIRS_AT_ONCE]])
                for at in range(0, len(first), _PAIRS_AT_ONCE)
            ]
        )
        # A pair counts as often as both of its images were drawn together.
        counts = random.multinomial(len(stack), np.full(len(stack), 1.0 / len(stack)), _RESAMPLES)
        weights = counts[:, first] * counts[:, second]
        with np.errstate(invalid="ignore"):  # A resample without any pair is left out of the percentiles.
            return float(similarity.mean()), weights @ similarity / weights.sum(axis=1)


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(image.tobytes()).digest()


def _pairs(count: int, most: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Up to ``most`` different pairs (i, j) with i < j < count."""
    total = count * (count - 1) // 2
    numbers = np.arange(total) if total <= most else random.choice(total, most, replace=False)
    # Pair number k is the k-th of (0, 1), (0, 2), (1, 2), (0, 3), ...
    second = np.array([(1 + math.isqrt(1 + 8 * int(number))) // 2 for number in numbers])
    return numbers - second * (second - 1) // 2, second
