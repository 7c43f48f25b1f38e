"""Everything that is said of a set of generated images, whoever made them: it needs no generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medsynth.evaluate.answers import Answer, answer_all, class_distance
from medsynth.evaluate.learners import Learner, probe
from medsynth.evaluate.plugin_metrics import MetricRow, measure
from medsynth.evaluate.privacy import PrivacyReport, examine_privacy
from medsynth.evaluate.utility import UtilityReport, measure_utility
from medsynth.metrics.bootstrap import RESAMPLING, Resampling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from medsynth.evaluate.augmented import Augmented
    from medsynth.evaluate.sides import HeldOut, Side
    from medsynth.plugins import MetricInput

__all__ = ["Assessment", "assess"]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Assessment:
    """The four questions and the numbers behind them.

    Attributes:
        answers: Fidelity, diversity, utility, privacy.
        metrics: Metric plugins on features, then on images; those that failed too.
        class_distance: Kernel distance between the real classes, the unit of the fidelity rule.
        utility: What training on them gains.
        privacy: Distances to training images.
    """

    answers: tuple[Answer, ...]
    metrics: tuple[MetricRow, ...]
    class_distance: float | None
    utility: UtilityReport
    privacy: PrivacyReport


def assess(
    train: Side,
    held_out: Side,
    made: Side,
    *,
    space: str,
    part: HeldOut = "validation",
    augmented: Augmented | None = None,
    learner: Learner | None = None,
    resampling: Resampling = RESAMPLING,
) -> Assessment:
    """Compare generated images with real ones.

    Args:
        train: All images that the generator learned from, at its size.
        held_out: Real images that it did not see.
        made: Generated images.
        space: Name of the features.
        part: What the held-out part is called.
        augmented: Classically augmented training images, which compete with the generated ones.
        learner: What is trained to see whether they help; ``None``: a probe on the features.
        resampling: Of the utility's intervals.
    """
    metrics = tuple(_measured(train, made, space))
    utility = measure_utility(
        train,
        held_out,
        made,
        learner=learner or probe(space),
        part=part,
        augmented=augmented,
        resampling=resampling,
    )
    privacy = examine_privacy(train, held_out, made, space=space, part=part)
    apart = class_distance(train)
    return Assessment(
        answers=answer_all(metrics, apart, utility, privacy),
        metrics=metrics,
        class_distance=apart,
        utility=utility,
        privacy=privacy,
    )


def _measured(train: Side, made: Side, space: str) -> Iterator[MetricRow]:
    real, generated = train.labels, made.labels
    sets: tuple[tuple[MetricInput, NDArray[Any], NDArray[Any], str | None], ...] = (
        ("features", train.features, made.features, space),
        ("images", train.images, made.images, None),
    )
    for inputs, one, other, name in sets:
        yield from measure(inputs, one, other, reference_labels=real, candidate_labels=generated, space=name)
