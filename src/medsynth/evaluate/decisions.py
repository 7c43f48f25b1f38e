"""What the probabilities of a classifier are good for: calibration, precision over recall, and choices of threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.metrics import (
    OperatingPoint,
    PrecisionRecall,
    Reliability,
    operating_point,
    precision_recall,
    reliability,
)
from medsynth.train.calibrate import operating_threshold

if TYPE_CHECKING:
    from medsynth.metrics import Resampling, Rows

__all__ = ["SENSITIVITIES", "Decisions", "Rule", "decisions"]

SENSITIVITIES = (0.90, 0.95)
"""Sensitivities for which the table names a threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A threshold, why it is one, and what it does on the test part.

    Attributes:
        name: ``operating`` (the artefact's own), ``half`` or ``sensitivity``.
        target: The sensitivity that was asked for, else ``None``.
        chosen_on: Part on which the threshold was chosen; ``None`` for one that needs no data. ``test`` where there was
            no other, and the line is then too good.
        point: On the test part.
    """

    name: str
    target: float | None
    chosen_on: str | None
    point: OperatingPoint

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"name": self.name, "target": self.target, "chosen_on": self.chosen_on, **self.point.to_dict()}


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Decisions:
    """Curves class by class, and for a binary task a table of thresholds.

    Attributes:
        reliability: Of each class against the rest.
        precision_recall: Likewise; ``None`` for a class that has no images, or all.
        prevalence: Of the positive class, for PPV and NPV; ``None`` where there are no rules.
        prevalence_stated: Whether it was given; else it is the share in the test part.
        rules: By falling threshold; none with more than two classes or where one class has no image.
    """

    reliability: tuple[Reliability, ...]
    precision_recall: tuple[PrecisionRecall | None, ...]
    prevalence: float | None = None
    prevalence_stated: bool = False
    rules: tuple[Rule, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "reliability": [each.to_dict() for each in self.reliability],
            "precision_recall": [None if each is None else each.to_dict() for each in self.precision_recall],
            "prevalence": {"value": self.prevalence, "stated": self.prevalence_stated},
            "operating_points": [rule.to_dict() for rule in self.rules],
        }


def decisions(rows: Rows, resampling: Resampling, *, validation: Rows | None, prevalence: float | None) -> Decisions:
    """Curves and thresholds of a classifier on the test part.

    Args:
        rows: Of the test part.
        resampling: Of the intervals.
        validation: Of the validation part, which chooses the thresholds for demanded sensitivities; ``None`` or one
            without an image of each class: the test part chooses, and the rule says so.
        prevalence: Of the positive class where the model is to be used; ``None``: its share in the test part.

    Raises:
        ConfigError: The prevalence is not between 0 and 1.
    """
    curves = Decisions(
        reliability=tuple(reliability(rows, index, resampling) for index in range(rows.num_classes)),
        precision_recall=tuple(precision_recall(rows, index, resampling) for index in range(rows.num_classes)),
    )
    if not _has_both(rows):
        return curves
    positive = rows.labels == rows.positive
    usual = float(positive.mean()) if prevalence is None else prevalence
    chooser, part = (validation, "validation") if _has_both(validation) else (rows, "test")
    assert chooser is not None
    assert chooser.positive is not None
    wanted: list[tuple[str, float | None, str | None, float]] = [("half", None, None, 0.5)]
    if rows.threshold is not None:
        # The threshold in the file was chosen on the validation part of its training data.
        wanted.insert(0, ("operating", None, "validation", rows.threshold))
    for target in SENSITIVITIES:
        scores = chooser.probabilities[:, chooser.positive].astype(np.float32)
        threshold = operating_threshold(chooser.labels == chooser.positive, scores, target)
        wanted.append(("sensitivity", target, part, threshold))
    rules = [
        Rule(name=name, target=target, chosen_on=on, point=operating_point(rows, threshold, usual, resampling))
        for name, target, on, threshold in wanted
    ]
    return Decisions(
        reliability=curves.reliability,
        precision_recall=curves.precision_recall,
        prevalence=usual,
        prevalence_stated=prevalence is not None,
        rules=tuple(sorted(rules, key=lambda rule: -rule.point.threshold)),
    )


def _has_both(rows: Rows | None) -> bool:
    return rows is not None and rows.positive is not None and len(np.unique(rows.labels)) == 2
