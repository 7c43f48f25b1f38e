"""A classifier on the test part of a data set."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import OutputError
from medsynth.evaluate.plugin_metrics import MetricRow, measure
from medsynth.evaluate.record import read_uses, record_use
from medsynth.evaluate.subjects import ModelSummary, class_indices
from medsynth.metrics import Rows, Scores, score
from medsynth.metrics.bootstrap import RESAMPLING, Resampling

if TYPE_CHECKING:
    from medsynth.dataset import Dataset, Skipped
    from medsynth.infer import Classifier
    from medsynth.progress import OnProgress

__all__ = ["ClassifierReport", "evaluate_classifier"]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ClassifierReport:
    """A classifier on a test part.

    Attributes:
        model: The classifier.
        source: How a person calls the data.
        fingerprint: Of the test part.
        familiar: Whether the model was trained on the data set that the test part belongs to, with the same split.
        scores: Every metric with its interval, confusion matrix and ROC curves.
        metrics: Results of further metric plugins.
        skipped: Test images that could not be read.
        uses: How often this test part has been used with this model file, this time included.
        recorded: Whether this use could be written down beside the file.
        run: Folder of the training run, for its curves.
    """

    model: ModelSummary
    source: str
    fingerprint: str
    familiar: bool
    scores: Scores
    metrics: tuple[MetricRow, ...]
    skipped: tuple[Skipped, ...]
    uses: int
    recorded: bool
    run: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "model": self.model.to_dict(),
            "data": {"source": self.source, "part": "test", "fingerprint": self.fingerprint},
            "same_data_as_training": self.familiar,
            "test_part_uses": self.uses,
            "test_part_use_recorded": self.recorded,
            **self.scores.to_dict(),
            "metrics": [row.to_dict() for row in self.metrics],
            "skipped": [asdict(row) for row in self.skipped],
        }


def evaluate_classifier(
    model: Classifier,
    data: Dataset,
    *,
    run: Path | None = None,
    resampling: Resampling = RESAMPLING,
    on_progress: OnProgress | None = None,
) -> ClassifierReport:
    """Score a classifier on the test part; groups are resampled as a whole where the data have them.

    Args:
        model: A loaded classifier; its own positive class, threshold and ImageSpec are used.
        data: The whole data set; only its test part is decoded.
        run: Folder of the classifier's training run, for its curves.
        resampling: Of the intervals.
        on_progress: Called with (images decoded, images in all, no figures).

    Raises:
        ArtifactError: The record of earlier evaluations beside the model is damaged.
        DataError: No test part, other classes than the model's, or no readable image of a class.
    """
    read_uses(model.path)  # A damaged record is told before the work, not after it.
    class_indices(data.labels[:0], data.classes, model, data.source)
    test = data.part("test")
    decoded = test.decode(
        model.image, on_progress=None if on_progress is None else lambda done, total: on_progress(done, total, {})
    )
    labels = class_indices(decoded.labels, data.classes, model, data.source)
    probabilities = model.run(decoded.images)["probabilities"]
    rows = Rows.of(
        labels,
        probabilities,
        positive=model.classes.index(model.metadata.positive),
        threshold=model.metadata.threshold,
        groups=decoded.groups,
    )
    scores = score(rows, resampling)
    summary = ModelSummary.of(model)
    used = {"source": data.source, "fingerprint": test.fingerprint}
    try:
        uses = record_use(model.path, content_hash=summary.content_hash, data=used, scores=scores)
        recorded = True
    except OutputError:  # A read-only folder of models is no reason to lose the result; the report says so.
        uses = 1 + sum(each["data"]["fingerprint"] == used["fingerprint"] for each in read_uses(model.path))
        recorded = False
    return ClassifierReport(
        model=summary,
        source=data.source,
        fingerprint=test.fingerprint,
        familiar=summary.data.get("fingerprint") == data.fingerprint,
        scores=scores,
        metrics=measure("probabilities", np.empty((0, 0)), probabilities, reference_labels=labels),
        skipped=decoded.skipped,
        uses=uses,
        recorded=recorded,
        run=run,
    )
