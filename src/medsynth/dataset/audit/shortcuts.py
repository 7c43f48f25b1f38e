"""Whether the label can be guessed from what has nothing to do with the disease."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.dataset.audit.features import shortcut_features
from medsynth.dataset.audit.findings import Finding
from medsynth.dataset.folds import deal_folds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.dataset.audit.look_alikes import LookAlikes
    from medsynth.dataset.audit.survey import Survey
    from medsynth.dataset.table import Dataset

__all__ = ["clustered_auc", "shortcuts"]

_WORDS = {
    "file-size": "size of the file",
    "file-format": "format and compression of the file",
    "exif": "metadata of the file",
    "file-name": "pattern of the file name",
    "image-size": "number of pixels",
    "aspect": "aspect of the image",
    "bit-depth": "bit depth and colour of the image",
    "border": "border of the image",
    "brightness": "mean brightness",
}
_SEEN = {"border", "brightness", "aspect", "image-size"}
_FOLDS = 5
_LEAST_CLUSTERS = 10
_RESAMPLES = 200
_CHUNK = 50
_TELLING_AUC, _TELLING_LOW = 0.70, 0.60
_SHOWN = 3


def shortcuts(readable: Dataset, survey: Survey, alike: LookAlikes) -> Iterator[Finding]:
    """One finding for each kind of fact from which a class can be told from the rest.

    A decision tree of depth 3 sees the fact alone and is scored in five-fold cross-validation that keeps groups, or the
    proposed groups of look-alikes, together. The interval comes from resampling these groups and is widened for the
    number of facts and classes tried (Bonferroni). Told is a class where the AUC is at least 0.70 and its interval is
    above 0.60.
    """
    clusters = np.unique(alike.cluster, return_inverse=True)[1]
    spread = [len(np.unique(clusters[readable.labels == label])) for label in range(len(readable.classes))]
    if min(spread) < _LEAST_CLUSTERS:
        return
    folds = deal_folds(readable.labels, tuple(map(str, clusters.tolist())), _FOLDS)
    columns = shortcut_features(readable, survey)
    # The second class of two is told exactly as well as the first.
    classes = range(len(readable.classes)) if len(readable.classes) > 2 else [readable.positive_index]
    reach = NormalDist().inv_cdf(1 - 0.025 / max(1, len(columns) * len(classes)))
    for name, values in columns.items():
        scores = _cross_validated(values, readable.labels, folds)
        told: list[dict[str, Any]] = []
        for label in classes:
            auc, error = clustered_auc(scores[:, label], readable.labels == label, folds, clusters)
            low, high = max(0.0, auc - reach * error), min(1.0, auc + reach * error)
            told.append({"class": readable.classes[label], "auc": auc, "low": low, "high": high})
        told.sort(key=lambda entry: -float(entry["low"]))
        if told[0]["auc"] >= _TELLING_AUC and told[0]["low"] > _TELLING_LOW:
            yield _finding(readable, name, told, scores, len(columns) * len(classes))


def _finding(
    readable: Dataset, name: str, told: list[dict[str, Any]], scores: NDArray[np.float64], tests: int
) -> Finding:
    best = told[0]
    label = readable.classes.index(best["class"])
    rank = np.argsort(-scores[:, label], kind="stable")
    inside, outside = rank[readable.labels[rank] == label][:_SHOWN], rank[readable.labels[rank] != label][-_SHOWN:]
    shown = tuple(tuple(readable.names[row] for row in rows) for rows in (inside, outside))
    advice = (
        "A model sees it and can learn it in place of the disease: crop or equalise it"
        if name in _SEEN
        else "A model does not see it itself, but it says that the classes come from different sources, which differ "
        "in what a model does see: process all files alike"
    )
    return Finding(
        code=f"shortcut:{name}",
        severity="warning",
        message=f"The {_WORDS[name]} alone tells '{best['class']}' from the rest with AUC {best['auc']:.2f} "
        f"({best['low']:.2f} to {best['high']:.2f}).",
        evidence={
            "feature": name,
            "auc": told,
            "folds": _FOLDS,
            "comparisons": tests,
            "examples": [{"of the class": shown[0], "of the rest": shown[1]}],
        },
        advice=f"{advice}, look whether it is the disease itself, and test on data from another source.",
        shown=shown,
    )


def _cross_validated(
    values: NDArray[np.float64], labels: NDArray[np.int64], folds: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Class probabilities of each image from a tree that was grown on the other folds: (m, classes)."""
    from sklearn.tree import DecisionTreeClassifier

    scores = np.zeros((len(labels), int(labels.max()) + 1))
    tree = DecisionTreeClassifier(
        max_depth=3, min_samples_leaf=max(5, len(labels) // 200), class_weight="balanced", random_state=0
    )
    for fold in np.unique(folds):
        here = folds == fold
        tree.fit(values[~here], labels[~here])
        scores[np.ix_(here, tree.classes_)] = tree.predict_proba(values[here])
    return scores


def clustered_auc(
    scores: NDArray[np.float64], inside: NDArray[np.bool_], folds: NDArray[np.int64], clusters: NDArray[np.int64]
) -> tuple[float, float]:
    """Area under the ROC curve within folds, and its standard error when clusters are drawn again.

    P(inside > outside) + P(inside = outside) / 2 [Hanley & McNeil 1982] in each fold, the folds weighted by their
    number of pairs. Clusters are drawn by Poisson weights, 200 times.

    Args:
        scores: float64 (n,), few distinct values.
        inside: bool (n,), of the class.
        folds: int64 (n,); scores of different folds are not compared.
        clusters: int64 (n,), from 0.
    """
    # Every distinct (fold, score) is a cell, cells of a fold in ascending order of score.
    cells, cell = np.unique(np.stack([folds, scores], axis=1), axis=0, return_inverse=True)
    starts = np.flatnonzero(np.diff(cells[:, 0], prepend=-1))
    ends = np.append(starts[1:], len(cells))
    kept, member = np.unique(clusters, return_inverse=True)
    tables = np.zeros((2, len(kept), len(cells)), np.float32)
    np.add.at(tables, (inside.astype(np.int64), member, cell.ravel()), 1.0)

    def area(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        pairs, won = np.zeros(counts.shape[1]), np.zeros(counts.shape[1])
        for start, end in zip(starts, ends, strict=True):
            out, into = counts[:, :, start:end]
            below = np.cumsum(out, axis=1) - out / 2
            won += (into * below).sum(axis=1)
            pairs += into.sum(axis=1) * out.sum(axis=1)
        return won / np.maximum(pairs, 1e-12)

    draw = np.random.default_rng(0)
    areas = []
    for _ in range(0, _RESAMPLES, _CHUNK):
        weights = draw.poisson(1.0, (_CHUNK, len(kept))).astype(np.float32)
        areas.append(area((weights @ tables).astype(np.float64)))
    whole = area(tables.sum(axis=1, dtype=np.float64)[:, None])
    return float(whole[0]), float(np.concatenate(areas).std(ddof=1))
