"""Do generated images help to train? A learner is taught by real images, by generated ones and by both, and tested.

Each seed draws real training units (patients where known) with replacement, the same for every arm, and which generated
images are added. An arm with more images does not take more or larger steps: that is the learner's duty. The gain over
real images alone is paired (one training draw, one test draw, two arms); see :mod:`medsynth.evaluate.paired`.

The gain is an upper bound: a draw leaves about a third of the patients out, but the generator learned from all of them,
so its images can bring back what the draw took. Only a generator trained on each draw anew would mend that. Augmented
images are those of the drawn training images alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import DataError
from medsynth.evaluate.arms import Plan, plans
from medsynth.evaluate.paired import paired_scores
from medsynth.evaluate.sides import Side
from medsynth.metrics import Estimate, Rows
from medsynth.metrics.bootstrap import RESAMPLING, Resampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.evaluate.augmented import Augmented
    from medsynth.evaluate.learners import Learner
    from medsynth.evaluate.sides import HeldOut

__all__ = ["SEEDS", "Arm", "UtilityReport", "measure_utility"]

SEEDS = 5

_NO_NUMBER = Estimate(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What was learned from, and what that was worth.

    Attributes:
        name: What it learned from: ``real``, ``generated``, ``real + generated`` or ``real + augmented``.
        tested_on: ``real`` (held-out images) or ``generated``.
        real: Real images that it learned from, in each seed.
        added: Generated or augmented images.
        auc: Mean over the seeds; with more than two classes the mean over classes.
        balanced_accuracy: Likewise.
        gain: In AUC over real images alone, paired; without a value for real images alone, and for an arm that is
            tested on other images.
        p: Two-sided, of no gain.
        error: What went wrong, in one line.
    """

    name: str
    tested_on: str
    real: int
    added: int
    auc: Estimate = _NO_NUMBER
    balanced_accuracy: Estimate = _NO_NUMBER
    gain: Estimate = _NO_NUMBER
    p: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UtilityReport:
    """What was gained.

    Attributes:
        arms: Real images alone first.
        part: The part of the real images that was tested on.
        seeds: Training draws.
        learner: What learned: ``probe`` or ``retrained network``.
        description: More of it: ``logistic regression``, or which network and how many steps.
        space: Name of the features that it learned from; ``None``: the images themselves.
        grouped: Whether patients of the tested images are known. Else each counts as one, and intervals are too narrow.
    """

    arms: tuple[Arm, ...]
    part: HeldOut
    seeds: int
    learner: str
    description: str
    space: str | None
    grouped: bool

    @property
    def leading(self) -> Arm | None:
        """The arm that the verdict is about, fixed beforehand: all real and all generated images."""
        return max(
            (arm for arm in self.arms if arm.name == "real + generated"), key=lambda arm: arm.added, default=None
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def measure_utility(
    train: Side,
    held_out: Side,
    made: Side,
    *,
    learner: Learner,
    part: HeldOut,
    augmented: Augmented | None = None,
    seeds: int = SEEDS,
    resampling: Resampling = RESAMPLING,
) -> UtilityReport:
    """Train on real, on generated and on both; an arm that fails is a row with its error.

    Args:
        train: Real training images.
        held_out: Real images that the generator has not seen.
        made: Generated images.
        learner: What is trained: :func:`medsynth.evaluate.learners.probe`, or a whole network.
        part: Name of the held-out part.
        augmented: Classically augmented training images; as many as are generated make a fair arm.
        seeds: Training draws.
        resampling: Of the intervals.
    """
    course = _Course(learner, _pooled(train, made, augmented), {"real": held_out, "generated": made})
    arms: list[Arm] = []
    last: list[Arm] = []
    alone: list[Rows] | None = None
    for plan in plans(train, made, augmented, seeds):
        for test, found in course.taken(plan).items():
            arm = Arm(name=plan.name, tested_on=test, real=plan.real, added=plan.added)
            compared = alone if test == "real" else None
            scored = replace(arm, error=found) if isinstance(found, str) else _scored(arm, found, compared, resampling)
            if not arms and not isinstance(found, str):
                alone = found
            (arms if test == "real" else last).append(scored)
    return UtilityReport(
        arms=(*arms, *last),
        part=part,
        seeds=seeds,
        learner=learner.name,
        description=learner.description,
        space=learner.space,
        grouped=held_out.groups is not None,
    )


@dataclass(frozen=True, eq=False, slots=True)
class _Course:
    """A learner, all images that it may learn from, and its tests."""

    learner: Learner
    pool: Side
    tests: Mapping[str, Side]
    classes: int = field(init=False)

    def __post_init__(self) -> None:
        largest = max(int(side.labels.max(initial=0)) for side in (self.pool, *self.tests.values()))
        object.__setattr__(self, "classes", largest + 1)

    def taken(self, plan: Plan) -> dict[str, list[Rows] | str]:
        """For each test what was answered, seed by seed; or what went wrong, in one line."""
        found: dict[str, list[Rows] | str] = {test: [] for test in plan.tests}
        for seed, rows in enumerate(plan.rows):
            try:
                predict = self._learned(rows, seed)
            except Exception as error:  # The report must still be written.
                return dict.fromkeys(plan.tests, _line(error))
            for test, answers in found.items():
                if isinstance(answers, str):
                    continue
                try:
                    answers.append(self._tested(predict, self.tests[test]))
                except Exception as error:  # As above.
                    found[test] = _line(error)
        return found

    def _learned(self, rows: NDArray[np.int64], seed: int) -> Any:
        counts = np.bincount(self.pool.labels[rows], minlength=self.classes)
        if not counts.all():
            raise DataError(
                f"the {self.learner.name} needs images of every class to learn from. Got {counts.tolist()}."
            )
        return self.learner.learn(self.pool.take(rows), seed)

    def _tested(self, predict: Any, side: Side) -> Rows:
        if not len(side):
            raise DataError(f"the {self.learner.name} needs images to be tested on. Got none.")
        return Rows.of(side.labels, predict(side), groups=side.groups)


def _scored(arm: Arm, rows: list[Rows], alone: list[Rows] | None, resampling: Resampling) -> Arm:
    try:
        found = paired_scores(rows, alone, resampling)
    except Exception as error:  # As above.
        return replace(arm, error=_line(error))
    return replace(arm, auc=found.auc, balanced_accuracy=found.balanced_accuracy, gain=found.gain, p=found.p)


def _pooled(*sides: Side | None) -> Side:
    given = [side for side in sides if side is not None]
    return Side(
        images=np.concatenate([side.images for side in given]),
        labels=np.concatenate([side.labels for side in given]),
        features=np.concatenate([side.features for side in given]),
    )


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
