"""A classifier on the test part of a data set."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import DataError, OutputError
from medsynth.evaluate.by_group import GroupErrors, errors_by_group
from medsynth.evaluate.class_maps import ClassMap, map_decisions
from medsynth.evaluate.decisions import Decisions, decisions
from medsynth.evaluate.plugin_metrics import MetricRow, measure
from medsynth.evaluate.record import read_uses, record_use
from medsynth.evaluate.subjects import ModelSummary, class_indices, scores_to_dict
from medsynth.metrics import Rows, Scores, score
from medsynth.metrics.bootstrap import RESAMPLING, Resampling
from medsynth.metrics.operating import check_prevalence

if TYPE_CHECKING:
    from medsynth.dataset import Dataset, Skipped
    from medsynth.infer import Classifier, Predictions
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
        decisions: Reliability, precision over recall, and what thresholds do.
        groups: Errors of each group, most first; ``None`` where the data have no groups.
        maps: A few images with what speaks for the class decided.
        metrics: Results of further metric plugins.
        predictions: Of every test image that could be read; says which could not.
        uses: How often this test part has been used with this model file, this time included.
        recorded: Whether this use could be written down beside the file.
        run: Folder of the training run, for its curves.
    """

    model: ModelSummary
    source: str
    fingerprint: str
    familiar: bool
    scores: Scores
    decisions: Decisions
    groups: tuple[GroupErrors, ...] | None
    maps: tuple[ClassMap, ...]
    metrics: tuple[MetricRow, ...]
    predictions: Predictions
    uses: int
    recorded: bool
    run: Path | None

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Test images that could not be read."""
        return self.predictions.skipped

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "model": self.model.to_dict(),
            "data": {"source": self.source, "part": "test", "fingerprint": self.fingerprint},
            "same_data_as_training": self.familiar,
            "test_part_uses": self.uses,
            "test_part_use_recorded": self.recorded,
            **scores_to_dict(self.scores, self.model),
            **self.decisions.to_dict(),
            "groups": None if self.groups is None else [group.to_dict() for group in self.groups],
            "maps": [each.to_dict() for each in self.maps],
            "metrics": [row.to_dict() for row in self.metrics],
            "skipped": [asdict(row) for row in self.skipped],
        }


def evaluate_classifier(
    model: Classifier,
    data: Dataset,
    *,
    run: Path | None = None,
    prevalence: float | None = None,
    maps: int = 2,
    resampling: Resampling = RESAMPLING,
    on_progress: OnProgress | None = None,
) -> ClassifierReport:
    """Score a classifier on the test part; groups are resampled as a whole where the data have them.

    For two classes the validation part is classified too, to choose the thresholds of demanded sensitivities.

    Args:
        model: A loaded classifier; its own positive class, threshold and ImageSpec are used.
        data: The whole data set; decoded batch by batch.
        run: Folder of the classifier's training run, for its curves.
        prevalence: Of the positive class where the model is to be used, for PPV and NPV; ``None``: its share in the
            test part.
        maps: How many images of each kind (surely right, surely wrong, undecided) get a map; 0: none.
        resampling: Of the intervals.
        on_progress: Called after each batch with (images classified, images in all, no figures).

    Raises:
        ArtifactError: The record of earlier evaluations beside the model is damaged.
        ConfigError: The prevalence is not between 0 and 1.
        DataError: No test part, other classes than the model's, or no readable image of a class.
    """
    check_prevalence(prevalence)
    read_uses(model.path)  # A damaged record is told before the work, not after it.
    class_indices(data.labels[:0], data.classes, model, data.source)
    test = data.part("test")
    predictions = model.predict(test, on_progress=on_progress)
    readable = _rows_of(test, predictions)
    rows = _rows(model, readable, predictions, data.source)
    scores = score(rows, resampling)
    labels = class_indices(readable.labels, data.classes, model, data.source)
    decided = np.array([model.classes.index(name) for name in predictions.predicted], np.int64)
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
        decisions=decisions(rows, resampling, validation=_validation(model, data), prevalence=prevalence),
        groups=None if readable.groups is None else errors_by_group(readable.groups, decided != labels),
        maps=map_decisions(model, readable, labels, predictions, maps),
        metrics=measure("probabilities", np.empty((0, 0)), predictions.probabilities, reference_labels=labels),
        predictions=predictions,
        uses=uses,
        recorded=recorded,
        run=run,
    )


def _rows(model: Classifier, images: Dataset, predictions: Predictions, whose: str) -> Rows:
    return Rows.of(
        class_indices(images.labels, images.classes, model, whose),
        predictions.probabilities,
        positive=model.classes.index(model.metadata.positive),
        threshold=model.metadata.threshold,
        groups=images.groups,
    )


def _validation(model: Classifier, data: Dataset) -> Rows | None:
    """The validation part of a binary task as the model sees it; ``None`` where there is none that can be read."""
    if len(model.classes) != 2 or "validation" not in data.split:
        return None
    validation = data.part("validation")
    try:
        predictions = model.predict(validation)
    except DataError:
        return None
    row = {name: index for index, name in enumerate(validation.names)}
    return _rows(model, validation.take([row[name] for name in predictions.names]), predictions, data.source)


def _rows_of(test: Dataset, predictions: Predictions) -> Dataset:
    """The rows of the test part that have a prediction, in its order."""
    row = {name: index for index, name in enumerate(test.names)}
    readable = test.take([row[name] for name in predictions.names])
    for (name, had), have in zip(test.counts().items(), readable.counts().values(), strict=True):
        if had and not have:
            first = predictions.skipped[0]
            raise DataError(
                f"{test.source}: none of the {had} test images of class '{name}' can be read. "
                f"The first that cannot, {first.name}: {first.reason}"
            )
    return readable
