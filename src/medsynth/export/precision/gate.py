"""The gate: would a user of the converted file decide otherwise?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import ConfigError
from medsynth.metrics import Rows, compare_models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Budget", "Verdict", "judge_images", "judge_probabilities"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The largest changes that pass.

    Attributes:
        flips: Share of images whose decision differs; for a generator, of images to which the classifier gives another
            class, where a classifier was given.
        auc: Absolute change of the AUC.
        mean_grey: For a generator: mean absolute difference in grey levels.
        worst_grey: For a generator: largest difference of any pixel in grey levels.
    """

    flips: float = 0.005
    auc: float = 0.005
    mean_grey: float = 1.0
    worst_grey: float = 64.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value >= 0:
                raise ConfigError(f"the budget of {name} must be 0 or more. Got {value}.")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found.

    Attributes:
        passed: Whether every change is within the budget.
        over: The changes that are not, in words.
        measured: All changes with their intervals, plain values for JSON.
        summary: The changes in one line.
    """

    over: tuple[str, ...]
    measured: Mapping[str, Any]
    summary: str

    @property
    def passed(self) -> bool:
        """Whether every change is within the budget."""
        return not self.over


def judge_probabilities(rows: Rows, probabilities: NDArray[np.float32], budget: Budget) -> Verdict:
    """Judge a classifier on the validation images.

    Args:
        rows: Labels, and what the float32 model said.
        probabilities: What the converted model says, in the order that ``rows`` was made from.
        budget: What passes.
    """
    if not np.isfinite(probabilities).all():
        return Verdict(("its probabilities are no numbers",), {}, "no numbers")
    change = compare_models(rows, rows.with_probabilities(probabilities))
    over = []
    if (change.flips.value or 0.0) > budget.flips:
        over.append(f"{change.flipped} of {change.images} decisions flip, {_percent(budget.flips)} may")
    if change.auc.value is not None and abs(change.auc.value) > budget.auc:
        over.append(f"the AUC changes by {change.auc.value:+.4f}, {budget.auc:g} is allowed")
    summary = (
        f"{change.flipped} of {change.images} decisions flip (up to {_percent(change.flips.high or 0.0)} at 95 %), "
        f"AUC {change.auc.value or 0.0:+.4f}, sensitivity {change.sensitivity.value or 0.0:+.4f}, "
        f"calibration error {change.calibration_error.value or 0.0:+.4f}"
    )
    return Verdict(tuple(over), change.to_dict(), summary)


def judge_images(
    reference: NDArray[np.uint8],
    images: NDArray[np.uint8],
    budget: Budget,
    named: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> Verdict:
    """Judge a generator on images of the same noise.

    Args:
        reference: What the float32 model draws, (n, height, width, channels).
        images: What the converted model draws.
        budget: What passes.
        named: The class that a classifier gives to each reference image, and to each image.
    """
    difference = np.abs(images.astype(np.int16) - reference.astype(np.int16))
    mean, worst = float(difference.mean()), int(difference.max())
    measured: dict[str, Any] = {"images": len(images), "mean_grey_levels": mean, "worst_grey_levels": worst}
    over = []
    if mean > budget.mean_grey:
        over.append(f"the mean difference is {mean:.2f} grey levels, {budget.mean_grey:g} is allowed")
    if worst > budget.worst_grey:
        over.append(f"the worst difference is {worst} grey levels, {budget.worst_grey:g} is allowed")
    summary = f"mean difference {mean:.3f} grey levels, worst {worst}"
    if named is not None:
        flipped = int((named[0] != named[1]).sum())
        share = flipped / len(images)
        measured |= {"flipped": flipped, "flips": share}
        summary += f", the classifier names {flipped} of {len(images)} differently"
        if share > budget.flips:
            over.append(f"the classifier names {flipped} of {len(images)} differently, {_percent(budget.flips)} may be")
    return Verdict(tuple(over), measured, summary)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
