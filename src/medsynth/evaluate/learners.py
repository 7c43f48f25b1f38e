"""What may learn from real and generated images: a probe by default, a whole network where one is handed in.

Nothing here needs TensorFlow: a network comes as an object that learns, from :func:`medsynth.train.retrainer` for
example.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.evaluate.sides import Side

    Predict: TypeAlias = Callable[[Side], NDArray[np.floating[Any]]]
    """From images to the probabilities of their classes, (n, classes)."""

__all__ = ["Learner", "Retrain", "probe", "retrained"]

_PENALTY = 0.01
_WEIGHT = 1000.0
"""Of all images together, however many there are."""


class Retrain(Protocol):
    """A network that is trained anew from images; always with the same number of steps."""

    @property
    def description(self) -> str:
        """Which network, and how it is trained."""

    def __call__(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], seed: int
    ) -> Callable[[NDArray[np.uint8]], NDArray[np.floating[Any]]]:
        """Learn from images (n, height, width, channels) and return what tells probabilities (m, classes) of others."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Learner:
    """What is trained.

    Attributes:
        name: ``probe`` or ``retrained network``.
        description: Which, in words that the report can print.
        space: Name of the features that it learns from; ``None``: the images themselves.
        learn: From (images of every class, seed) to predictions. With more images it must not take more steps.
    """

    name: str
    description: str
    space: str | None
    learn: Callable[[Side, int], Predict]


def probe(space: str) -> Learner:
    """Logistic regression on features; each class has the same weight, and all images together too.

    Args:
        space: Name of the features.
    """
    return Learner(name="probe", description="logistic regression", space=space, learn=_fit_probe)


def retrained(network: Retrain) -> Learner:
    """A whole network, trained on the images themselves."""

    def learn(learned: Side, seed: int) -> Predict:
        predict = network(learned.images, learned.labels, seed)
        return lambda side: predict(side.images)

    return Learner(name="retrained network", description=network.description, space=None, learn=learn)


def _fit_probe(learned: Side, _: int) -> Predict:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    counts = np.bincount(learned.labels)
    weights = _WEIGHT / (len(counts) * counts[learned.labels])
    fitted = make_pipeline(StandardScaler(), LogisticRegression(C=_PENALTY, max_iter=300))
    with threadpool_limits(1):  # Steps are small, and threads that wait for each other spin.
        fitted.fit(learned.features.astype(np.float64), learned.labels, logisticregression__sample_weight=weights)

    def predict(side: Side) -> NDArray[np.floating[Any]]:
        with threadpool_limits(1):
            probabilities: NDArray[np.floating[Any]] = fitted.predict_proba(side.features.astype(np.float64))
        return probabilities

    return predict
