"""A map of real and generated images: t-SNE of their features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.evaluate.sides import Side

__all__ = ["Embedding", "embed"]

_MOST = 300
"""Images of each kind."""

_COMPONENTS = 50


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Embedding:
    """Where images lie on the map.

    Attributes:
        points: float64 (n, 2); only who is near to whom means something.
        labels: Class index of each, int64 (n,).
        generated: Whether it was generated, bool (n,).
    """

    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    generated: NDArray[np.bool_]


def embed(real: Side, made: Side, seed: int = 0) -> Embedding:
    """t-SNE (van der Maaten and Hinton 2008, JMLR 9, 2579) of at most 300 evenly spaced images of each kind.

    From the first two principal components, so that the map does not depend on luck, of at most 50 components.

    Args:
        real: Real images.
        made: Generated images.
        seed: Of scikit-learn's implementation.

    Raises:
        ValueError: Fewer than 5 images in all.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    sides = [_spread(side, min(_MOST, len(real), len(made))) for side in (real, made)]
    features = np.concatenate([side.features for side in sides]).astype(np.float64)
    left, scales, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    small = (left * scales)[:, :_COMPONENTS]
    spread = float(small.std())
    perplexity = min(30.0, (len(features) - 1) / 4)
    tsne = TSNE(perplexity=perplexity, init=small[:, :2] / (spread or 1.0) * 1e-4, random_state=seed, max_iter=500)
    with threadpool_limits(1):  # Its threads spin; on a busy machine two are ten times slower than one.
        points = tsne.fit_transform(small)
    return Embedding(
        points=np.asarray(points, np.float64),
        labels=np.concatenate([side.labels for side in sides]),
        generated=np.repeat([False, True], [len(side) for side in sides]),
    )


def _spread(side: Side, count: int) -> Side:
    return side.take(np.unique(np.linspace(0, len(side) - 1, count).round().astype(np.int64)))
