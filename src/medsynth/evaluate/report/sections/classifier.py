"""The classifier on the test part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medsynth.errors import DataError
from medsynth.evaluate.report.blocks import Block, Pictures, Points, Section, chart, text
from medsynth.evaluate.report.figures import classifier_curves
from medsynth.evaluate.report.history import best_epoch, read_series
from medsynth.evaluate.report.sections.decisions import curve_pictures, group_table, threshold_table
from medsynth.evaluate.report.sections.maps import map_blocks
from medsynth.evaluate.report.sections.tables import (
    class_table,
    confusion_table,
    plugin_table,
    results_table,
    roc_picture,
)
from medsynth.evaluate.report.words import chosen_by_validation

if TYPE_CHECKING:
    from pathlib import Path

    from medsynth.evaluate.classifier import ClassifierReport
    from medsynth.evaluate.report.model import Report

__all__ = ["classifier_section"]


def classifier_section(report: Report, classifier: ClassifierReport) -> Section:
    """Results, confusion matrix, thresholds, curves, groups, maps and how it was trained."""
    scores, classes = classifier.scores, classifier.model.classes
    columns = [("Validation", classifier.model.validation)]
    columns += [(reference.label, reference.classifier) for reference in report.references]
    notes = [f"{each.label}: {each.note}" for each in report.references if each.note and each.classifier]
    if classifier.model.validation:
        chosen = chosen_by_validation(classifier.model)
        notes.insert(0, f"Validation: measured on the images that chose {chosen}, so slightly optimistic.")
    blocks: list[Block] = [
        results_table(scores, classes, columns, caption="Results on the test part", head="Test", notes=notes),
        confusion_table(scores, classes, caption="Confusion matrix of the test part", row="True class"),
    ]
    if scores.positive is None:
        blocks.append(class_table(scores, classes))
    else:
        table = threshold_table(classifier.decisions, classes, scores.positive)
        blocks += [] if table is None else [table]
    picture = roc_picture(scores, classes, every=False, of="the test part")
    curves = curve_pictures(classifier.decisions, scores, classes)
    blocks.append(Pictures((*(() if picture is None else (picture,)), *curves), columns=2))
    if classifier.groups is not None:
        blocks.append(group_table(classifier.groups))
    blocks += map_blocks(classifier.maps)
    if classifier.metrics:
        blocks.append(plugin_table(classifier.metrics, classes, caption="Metrics of plugins"))
    if classifier.run is not None:
        blocks.append(_curves(classifier.run))
    uses = "the first use" if classifier.uses == 1 else f"use number {classifier.uses}"
    written = "" if classifier.recorded else " It could not be written down beside the model file, which is read-only."
    blocks.append(text(f"This was {uses} of this test part with this model file.{written}"))
    return Section("classifier", "Classifier", tuple(blocks))


def _curves(run: Path) -> Block:
    try:
        series = read_series(run)
    except DataError as error:
        return Points((f"The training curves cannot be shown: {error}",), warns=True)
    best = best_epoch(run)
    kept = "" if best is None else f" The dotted line marks epoch {best}, whose weights were kept."
    loss, score = classifier_curves(series, best)
    epochs = len(series["epoch"])
    return Pictures(
        (
            chart(loss, alt=f"Training and validation loss over {epochs} epochs.", caption=f"Loss by epoch.{kept}"),
            chart(score, alt=f"Validation metrics over {epochs} epochs.", caption="Metrics by epoch."),
        ),
        columns=2,
    )
