"""What thresholds and probabilities mean: the parts of the classifier's section behind its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from medsynth.evaluate.report.blocks import Cell, Picture, Table, chart
from medsynth.evaluate.report.drawing import MOST_CURVES
from medsynth.evaluate.report.figures import precision_recall_figure, reliability_figure
from medsynth.evaluate.report.words import count, estimate_cell, join, number, percent

if TYPE_CHECKING:
    from medsynth.evaluate.by_group import GroupErrors
    from medsynth.evaluate.decisions import Decisions, Rule
    from medsynth.metrics import Scores

__all__ = ["curve_pictures", "group_table", "threshold_table"]

_MOST_GROUPS = 10
_MOST_RELIABILITIES = 4


def threshold_table(decisions: Decisions, classes: Sequence[str], positive: int) -> Table | None:
    """What each threshold does on the test part; ``None`` where there is none to compare."""
    if not decisions.rules or decisions.prevalence is None:
        return None
    name = classes[positive]
    rows = []
    for rule in decisions.rules:
        point = rule.point
        shares = (point.sensitivity, point.specificity, point.ppv, point.npv, point.called)
        rows.append((Cell(f"{point.threshold:.3f}", _said(rule)), *map(estimate_cell, shares)))
    whose = (
        "as it was stated for this report"
        if decisions.prevalence_stated
        else "the share in this test part, which was collected, not met in a clinic; state another with --prevalence"
    )
    said = (
        f"PPV, NPV and the share called are for a prevalence of {name} of {percent(decisions.prevalence)}: {whose}. "
        "They change with it; sensitivity and specificity need not. Intervals hold the prevalence fixed."
    )
    notes = [said]
    if any(rule.chosen_on == "test" for rule in decisions.rules):
        notes.append(
            "The data have no validation part to choose by: thresholds for a demanded sensitivity were chosen on the "
            "test part itself, and their lines are too good."
        )
    head = ("Threshold", "Sensitivity", "Specificity", "PPV", "NPV", "Called")
    return Table(f"Calling {name} at or above a probability", head, tuple(rows), notes=tuple(notes))


def _said(rule: Rule) -> str:
    if rule.name == "operating":
        return "the file\u2019s own"
    if rule.target is None:
        return "one half"
    return f"for sensitivity {rule.target:.2f} on {rule.chosen_on}"


def curve_pictures(decisions: Decisions, scores: Scores, classes: Sequence[str]) -> tuple[Picture, ...]:
    """Precision over recall, and reliability, of the positive class or of every class."""
    chosen = list(range(len(classes))) if scores.positive is None else [scores.positive]
    first = _precision_recall(decisions, scores, classes, chosen)
    return (*(() if first is None else (first,)), *_reliability(decisions, scores, classes, chosen))


def _precision_recall(
    decisions: Decisions, scores: Scores, classes: Sequence[str], chosen: Sequence[int]
) -> Picture | None:
    areas = scores.per_class["average_precision"]
    drawn = [
        (classes[index], curve, areas[index])
        for index in chosen
        if (curve := decisions.precision_recall[index]) is not None
    ][:MOST_CURVES]
    if not drawn:
        return None
    said = join([f"{name} has an average precision of {number(area.value)}" for name, _, area in drawn])
    return chart(
        precision_recall_figure(drawn),
        alt=f"Precision over recall on the test part: {said}.",
        caption="Precision over recall, with its 95 % band. Dotted: the share of the class, which guessing gets.",
    )


def _reliability(
    decisions: Decisions, scores: Scores, classes: Sequence[str], chosen: Sequence[int]
) -> Iterator[Picture]:
    for index in chosen[:_MOST_RELIABILITIES]:
        curve, name = decisions.reliability[index], classes[index]
        error = scores.per_class["calibration_error"][index]
        units = "groups" if scores.grouped else "images"
        yield chart(
            reliability_figure(curve, name),
            alt=(
                f"Reliability of the probability of {name}: over {count(int((curve.counts > 0).sum()), 'bin')} with "
                f"images, the calibration error is {number(error.value)}."
            ),
            caption=(
                f"Reliability of the probability of {name}: how often it is {name} where the model says so. Bars: 95 % "
                f"interval over {units}. Calibration error {number(error.value)}."
            ),
        )


def group_table(groups: Sequence[GroupErrors]) -> Table:
    """The groups with the most errors."""
    wrong = [group for group in groups if group.errors]
    errors, images = sum(group.errors for group in groups), sum(group.images for group in groups)
    worst = wrong[:_MOST_GROUPS]
    held = sum(group.errors for group in worst)
    rows = tuple(
        (
            Cell(group.group),
            Cell(f"{group.errors:,}"),
            Cell(f"{group.images:,}"),
            Cell(percent(group.errors / group.images)),
        )
        for group in worst
    )
    note = (
        f"{count(errors, 'error')} in {count(images, 'image')}; {len(wrong):,} of {count(len(groups), 'group')} have "
        "one. "
        + (
            f"These {len(worst)} hold {percent(held / errors)} of the errors; every group is in metrics.json."
            if len(wrong) > len(worst)
            else "Every group is in metrics.json."
        )
    )
    return Table("Groups with the most errors", ("Group", "Errors", "Images", "Share"), rows, notes=(note,))
