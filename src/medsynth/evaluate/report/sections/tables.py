"""Tables that classifier and generator share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from medsynth.evaluate.report.blocks import Cell, Picture, Table, chart
from medsynth.evaluate.report.drawing import MOST_CURVES
from medsynth.evaluate.report.figures import roc_figure
from medsynth.evaluate.report.words import count, estimate_cell, explain, join, number, title

if TYPE_CHECKING:
    from medsynth.evaluate.plugin_metrics import MetricRow
    from medsynth.metrics import Estimate, Scores

__all__ = ["class_table", "confusion_table", "plugin_table", "results_table", "roc_picture", "with_specificity"]


def results_table(
    scores: Scores,
    classes: Sequence[str],
    columns: Sequence[tuple[str, Mapping[str, float]]],
    *,
    caption: str,
    head: str,
    notes: Iterable[str] = (),
) -> Table:
    """Metrics down, ours first, then ``columns`` for comparison (head, metric -> value)."""
    columns = [(label, values) for label, values in columns if any(metric in values for metric in scores.overall)]
    positive = None if scores.positive is None else classes[scores.positive]
    rows = []
    for metric, estimate in with_specificity(scores):
        others = [Cell(number(values.get(metric))) for _, values in columns]
        rows.append((Cell(title(metric), explain(metric, positive)), estimate_cell(estimate), *others))
    whose = "means over the classes" if positive is None else f"those of {positive}, the positive class"
    heads = ("Metric", head, *(label for label, _ in columns))
    said = f"F1, precision, recall and AUC are {whose}. {_interval_note(scores)}"
    return Table(caption, heads, tuple(rows), notes=(said, *notes))


def with_specificity(scores: Scores) -> Iterator[tuple[str, Estimate]]:
    """Every metric of the whole task; for a binary one also specificity, the recall of the other class."""
    for metric, estimate in scores.overall.items():
        yield metric, estimate
        if metric == "recall" and scores.positive is not None:
            yield "specificity", scores.per_class["recall"][1 - scores.positive]


def _interval_note(scores: Scores) -> str:
    if all(estimate.low is None for estimate in scores.overall.values()):
        return f"No intervals: they need at least two {'groups' if scores.grouped else 'images'} to resample."
    units = "groups as a whole" if scores.grouped else "images"
    said = (
        f"Below each number its 95 % interval: {scores.resampling.resamples:,} bootstrap resamples of "
        f"{scores.units:,} {units}, seed {scores.resampling.seed}. It covers which images were drawn, not training "
        "again."
    )
    if any(estimate.low is not None and estimate.low == estimate.high for estimate in scores.overall.values()):
        # The rule of three: Hanley and Lippman-Hand, JAMA 1983.
        said += (
            " An interval without width means that all images of a class were decided alike; of n, up to about 3/n "
            "decided otherwise would fit that too."
        )
    return said


def class_table(scores: Scores, classes: Sequence[str]) -> Table:
    """Precision, recall, F1 and AUC of each class against the rest."""
    metrics = ("precision", "recall", "f1", "auc")
    rows = [
        (
            Cell(name, count(int(scores.confusion[index].sum()), "image")),
            *(estimate_cell(scores.per_class[metric][index]) for metric in metrics),
        )
        for index, name in enumerate(classes)
    ]
    return Table("Each class against the rest", ("Class", *map(title, metrics)), tuple(rows))


def confusion_table(scores: Scores, classes: Sequence[str], *, caption: str, row: str) -> Table:
    """True classes down, decided ones across; shade and percentage are shares of a row."""
    rows = []
    for name, counts in zip(classes, scores.confusion, strict=True):
        whole = max(1, int(counts.sum()))
        cells = [Cell(f"{value:,}", f"{100 * value / whole:.0f} %", shade=float(value / whole)) for value in counts]
        rows.append((Cell(name), *cells))
    return Table(caption, (row, *(f"decided {name}" for name in classes)), tuple(rows), style="matrix")


def roc_picture(scores: Scores, classes: Sequence[str], *, every: bool, of: str) -> Picture | None:
    """ROC curve of the positive class, or of ``every`` class; ``None`` where none is defined."""
    chosen = range(len(classes)) if every or scores.positive is None else [scores.positive]
    drawn = [
        (classes[index], curve, scores.per_class["auc"][index])
        for index in chosen
        if (curve := scores.roc[index]) is not None
    ][:MOST_CURVES]
    if not drawn:
        return None
    said = join([f"{name} has an area of {number(area.value)}" for name, _, area in drawn])
    left_out = f" The first {MOST_CURVES} of {len(classes)} classes." if len(classes) > MOST_CURVES else ""
    return chart(
        roc_figure(drawn),
        alt=f"ROC curves of {of}: {said}.",
        caption=f"ROC of {of}, with the 95 % band of the true positive rate.{left_out}",
    )


def plugin_table(rows: Sequence[MetricRow], classes: Sequence[str], *, caption: str) -> Table:
    """Results of metric plugins; a failed one is a row with its error."""
    compared = any(row.real is not None for row in rows)
    head = ("Metric", "Value", *(("Real images",) if compared else ()), *classes)
    body = []
    for row in rows:
        better = {True: "Higher is better.", False: "Lower is better.", None: ""}[row.higher_is_better]
        about = " ".join(filter(None, [row.summary, better, f"{row.distribution} {row.version}."]))
        values = [estimate_cell(row.estimate) if row.error is None else Cell("no number", row.error)]
        values += [Cell(number(row.real))] if compared else []
        values += [Cell(number(row.per_class.get(index))) for index in range(len(classes))]
        body.append((Cell(row.name, about), *values))
    notes = [f"{row.name}: {note}" for row in rows for note in row.notes]
    sizes = {row.size for row in rows if row.size is not None}
    if compared and sizes:
        notes.insert(
            0,
            f"{max(sizes):,} images on each side, the classes in equal shares on both. Real images: as many other "
            "training images of the same patients in the place of the generated ones, which is what a generator would "
            "get that has learned everything and repeats nothing.",
        )
    return Table(caption, head, tuple(body), notes=tuple(notes))
