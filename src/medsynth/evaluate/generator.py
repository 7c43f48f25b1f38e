"""A generator, judged by a classifier that was trained on real images, by metric plugins and by the eye."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.errors import ConfigError
from medsynth.evaluate.assess import assess
from medsynth.evaluate.augmented import augment_side
from medsynth.evaluate.embedding import Embedding, embed
from medsynth.evaluate.features import FeatureNetwork, FeatureSpace
from medsynth.evaluate.learners import retrained
from medsynth.evaluate.privacy import classifier_row
from medsynth.evaluate.sides import HeldOut, Side, read_side
from medsynth.evaluate.subjects import ModelSummary, class_indices, scores_to_dict
from medsynth.images import load_images
from medsynth.metrics import Rows, Scores, score
from medsynth.metrics.bootstrap import RESAMPLING, Resampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset import Dataset
    from medsynth.evaluate.answers import Answer
    from medsynth.evaluate.learners import Retrain
    from medsynth.evaluate.plugin_metrics import MetricRow
    from medsynth.evaluate.privacy import PrivacyReport, PrivacyRow
    from medsynth.evaluate.utility import UtilityReport
    from medsynth.infer import Classifier, Sampler
    from medsynth.progress import OnProgress

__all__ = ["COLUMNS", "GeneratorReport", "check_generator", "evaluate_generator"]

COLUMNS = 8
"""Images of each class in a grid."""

_BLOCK = 256
_ATTACKED, _MAPPED = 512, 10


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class GeneratorReport:
    """A generator's images.

    Attributes:
        model: The generator.
        classifier: The classifier that judged its images.
        scores: The classifier's verdict: labels are the classes that were asked for.
        features: The network whose features the distances are measured in.
        answers: Fidelity, diversity, utility and privacy: a light and a sentence each.
        metrics: Results of the metric plugins that take features or images; those that failed too.
        class_distance: Kernel distance between the real classes in those features; a unit for ``kid``.
        utility: What training on the images gains.
        privacy: Whether they give training images away.
        embedding: A map of real and generated images; ``None`` for fewer than 10 training images.
        count: Images that were made, label i mod classes.
        seed: Of their noise.
        generated: The first images of each class, uint8 (classes, 8, height, width, channels).
        real: Training images for a look side by side, likewise; ``None`` to show none.
        run: Folder of the training run, for its losses and filmstrips.
    """

    model: ModelSummary
    classifier: ModelSummary
    scores: Scores
    features: FeatureSpace
    answers: tuple[Answer, ...]
    metrics: tuple[MetricRow, ...]
    class_distance: float | None
    utility: UtilityReport
    privacy: PrivacyReport
    embedding: Embedding | None
    count: int
    seed: int
    generated: NDArray[np.uint8]
    real: NDArray[np.uint8] | None
    run: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; images and folders are left out."""
        return {
            "model": self.model.to_dict(),
            "classifier": self.classifier.to_dict(),
            "count": self.count,
            "seed": self.seed,
            **scores_to_dict(self.scores, self.classifier),
            "features": self.features.to_dict(),
            "answers": [answer.to_dict() for answer in self.answers],
            "metrics": [row.to_dict() for row in self.metrics],
            "class_distance": self.class_distance,
            "utility": self.utility.to_dict(),
            "privacy": self.privacy.to_dict(),
        }


def check_generator(
    sampler: Sampler, data: Dataset, classifier: Classifier, *, count: int, features: FeatureNetwork | None
) -> FeatureNetwork:
    """Refuse what :func:`evaluate_generator` cannot evaluate, before any work; return the network that measures.

    Args:
        sampler: A loaded generator.
        data: The data set that it learned from.
        classifier: Judges its images.
        count: How many images.
        features: The network, if it is not the classifier.

    Raises:
        ArtifactError: The classifier has no features and no other network is given.
        ConfigError: ``count`` is too small.
        DataError: The classes of generator, classifier and data are not the same, or there is no training part.
    """
    classes = sampler.classes
    if count < COLUMNS * len(classes):
        raise ConfigError(f"count must be at least {COLUMNS} for each of {len(classes)} classes. Got {count}.")
    class_indices(data.labels[:0], classes, classifier, sampler.path.name)
    class_indices(data.labels[:0], data.classes, sampler, data.source)
    data.part("train")
    return features or FeatureNetwork.of(classifier)


def evaluate_generator(
    sampler: Sampler,
    data: Dataset,
    classifier: Classifier,
    *,
    count: int = 512,
    seed: int = 0,
    features: FeatureNetwork | None = None,
    held_out: HeldOut = "validation",
    augment: bool = True,
    retrain: Retrain | None = None,
    run: Path | None = None,
    resampling: Resampling = RESAMPLING,
    on_progress: OnProgress | None = None,
) -> GeneratorReport:
    """Make images, let a classifier name their classes, and ask whether they look real, cover, help and give away.

    Distances are those to training images, as the generator saw them. Utility and privacy need images that it did not
    see: those of the validation part, so that no test number is computed, unless the test part is asked for.

    Args:
        sampler: A loaded generator.
        data: The data set that it learned from.
        classifier: A loaded classifier of the same classes; generated images reach it through
            :func:`medsynth.images.load_image`, like any other.
        count: How many images, at least 8 for each class.
        seed: Of the noise.
        features: In whose features distances to real images are measured; ``None``: the classifier's own. Real images
            reach it at the generator's size first, so that nothing but what they show tells them from generated ones.
        held_out: Part of the data on which the utility is tested and with which distances to training images are
            compared. ``"test"`` for the last look: whatever is changed afterwards was chosen by the test part.
        augment: Whether classical augmentation competes; as many images more pass through the network.
        retrain: The network that is trained with and without generated images, at the generator's size, from
            :func:`medsynth.train.retrainer`; ``None``: a probe on the features, which takes minutes, not hours.
        run: Folder of the generator's training run, for its losses and filmstrips.
        resampling: Of the intervals.
        on_progress: Called with (images made, images in all, no figures).

    Raises:
        ArtifactError: The classifier has no features and no other network is given.
        ConfigError: ``count`` is too small.
        DataError: The classes of generator, classifier and data are not the same, or there is no training part.
    """
    network = check_generator(sampler, data, classifier, count=count, features=features)
    classes = sampler.classes
    images, labels, probabilities, vectors = [], [], [], []
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        made = sampler.sample(size, seed=seed, start=start)
        asked = sampler.labels_for(size, None, start)
        outputs = classifier.run(load_images(list(made), classifier.image))
        probabilities.append(outputs["probabilities"])
        vectors.append(outputs["features"] if features is None else network(made))
        labels.append(asked)
        images.append(made)
        if on_progress is not None:
            on_progress(start + size, count, {})
    made, asked = np.concatenate(images), np.concatenate(labels)
    rows = Rows.of(
        class_indices(asked, classes, classifier, sampler.path.name),
        np.concatenate(probabilities),
        positive=classifier.classes.index(classifier.metadata.positive),
        threshold=classifier.metadata.threshold,
    )
    generated = Side(images=made, labels=asked, features=np.concatenate(vectors))
    train, others = (read_side(data, part, sampler, network) for part in ("train", held_out))
    found = assess(
        train,
        others,
        generated,
        space=network.space.name,
        part=held_out,
        augmented=augment_side(train, count, network) if augment else None,
        learner=None if retrain is None else retrained(retrain),
        resampling=resampling,
    )
    attacked = _attack(classifier, data, held_out)
    return GeneratorReport(
        model=ModelSummary.of(sampler),
        classifier=ModelSummary.of(classifier),
        scores=score(rows, resampling),
        features=network.space,
        answers=found.answers,
        metrics=found.metrics,
        class_distance=found.class_distance,
        utility=found.utility,
        privacy=replace(found.privacy, rows=(*found.privacy.rows, attacked)),
        embedding=embed(train, generated) if len(train) >= _MAPPED else None,
        count=count,
        seed=seed,
        generated=_grid(made, asked, len(classes), spread=False),
        real=_grid(train.images, train.labels, len(classes), spread=True),
        run=run,
    )


def _attack(classifier: Classifier, data: Dataset, held_out: HeldOut) -> PrivacyRow:
    """Losses of the classifier on images that it learned from, and on others; at most 512 of each, evenly spaced."""
    losses = []
    for part in ("train", held_out):
        table = data.part(part) if part in data.split else data.take([])
        chosen = np.unique(np.linspace(0, len(table) - 1, min(_ATTACKED, len(table))).round().astype(np.int64))
        if not len(chosen):
            losses.append(np.empty(0))
            continue
        decoded = table.take(chosen).decode(classifier.image)
        labels = class_indices(decoded.labels, data.classes, classifier, data.source)
        probabilities = classifier.run(decoded.images)["probabilities"].astype(np.float64)
        losses.append(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)))
    return classifier_row(*losses)


def _grid(images: NDArray[np.uint8], labels: NDArray[np.int64], classes: int, *, spread: bool) -> NDArray[np.uint8]:
    """One row for each class: its first images, or evenly spread ones; black where a class has too few."""
    grid = np.zeros((classes, COLUMNS, *images.shape[1:]), np.uint8)
    for index in range(classes):
        rows = np.flatnonzero(labels == index)
        if spread and len(rows) > COLUMNS:
            rows = rows[np.linspace(0, len(rows) - 1, COLUMNS).round().astype(np.int64)]
        rows = rows[:COLUMNS]
        grid[index, : len(rows)] = images[rows]
    return grid
