"""A classifier judged by repeated cross-validation that keeps patients together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.config import ClassifierConfig
from medsynth.dataset import Dataset, fold_datasets, load_dataset
from medsynth.dataset.folds import block_names
from medsynth.metrics import Estimate, Rows, score
from medsynth.metrics.bootstrap import Resampling
from medsynth.outputs import ensure_folder, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CrossValidation", "FoldScore", "cross_validate"]

_POINTS = Resampling(resamples=0)
"""Of a single fold the values alone are kept, so no intervals are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldScore:
    """How the classifier of one fold did on the fold that it was not trained on.

    Attributes:
        repeat: Number of the repetition.
        index: Number of the fold in it.
        images: Images in the fold that could be read.
        metrics: Value of each metric of :data:`medsynth.metrics.STATISTICS`; ``None`` where it is not defined.
    """

    repeat: int
    index: int
    images: int
    metrics: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidation:
    """The result of :func:`cross_validate`.

    Attributes:
        source: How a person calls the data.
        unit: What was kept together and is resampled: ``group`` or ``block``.
        metrics: Each metric over all images, every one judged by the classifier that had not seen it: the mean over the
            repetitions. The ends of the interval are means too: repetitions share their images, so they do not narrow
            it. It comes from resampling whole groups or blocks.
        folds: The single folds.
        config: The settings.
    """

    source: str
    unit: str
    metrics: Mapping[str, Estimate]
    folds: tuple[FoldScore, ...]
    config: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``schema`` is the version of this layout."""
        return {
            "schema": 1,
            "source": self.source,
            "unit": self.unit,
            "metrics": {name: estimate.to_dict() for name, estimate in self.metrics.items()},
            "folds": [
                {"repeat": fold.repeat, "index": fold.index, "images": fold.images, "metrics": dict(fold.metrics)}
                for fold in self.folds
            ],
            "config": dict(self.config),
        }


def cross_validate(
    data: Dataset | str | Path,
    *,
    out: str | Path,
    config: ClassifierConfig | None = None,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    device: str = "auto",
    **settings: Any,
) -> CrossValidation:
    """Train a classifier for each fold, and judge it by what it says of the images that it was not trained on.

    Groups stay in one fold; where the data name none, blocks of consecutive names do
    (:func:`medsynth.dataset.fold_datasets`). Epoch, temperature and threshold of each classifier are chosen on a
    validation part outside its fold. A second call goes on where the first was interrupted.

    Args:
        data: A data set, or what :func:`medsynth.load_dataset` takes; its own parts are not regarded.
        out: Folder of the runs, of each fold's split as a CSV, and of ``cross-validation.json``.
        config: The settings; or give them by keyword. Each repetition adds its number to the seed.
        folds: Folds in a repetition.
        repeats: Repetitions, each dealt anew.
        seed: Of the dealing.
        device: Where the exported classifiers run.
        **settings: As :func:`medsynth.train_classifier` takes them.

    Raises:
        ConfigError: As :func:`medsynth.train_classifier` and :func:`medsynth.dataset.fold_datasets`.
        DataError: A part lacks a class.
        OutputError: ``out`` cannot be written to.
    """
    from medsynth.export import export
    from medsynth.infer.load import load_classifier
    from medsynth.train import train_classifier

    config = ClassifierConfig.chosen(config, settings)
    data = load_dataset(data)
    units = dict(zip(data.names, data.groups or block_names(data), strict=True))
    label = dict(zip(data.names, data.labels.tolist(), strict=True))
    folder = ensure_folder(out)
    pooled: dict[int, list[tuple[Rows, NDArray[np.float32], list[str]]]] = defaultdict(list)
    single = []
    for fold in fold_datasets(data, folds=folds, repeats=repeats, seed=seed):
        place = ensure_folder(folder / f"repeat-{fold.repeat}-fold-{fold.index}")
        chosen = replace(config, seed=config.seed + fold.repeat)
        run = train_classifier(fold.data, out=place / "run", config=chosen, resume=True)
        # Only now: a run that stands there with another split has refused this one.
        fold.data.to_csv(place / "split.csv")
        model = load_classifier(export(run, place / "classifier.onnx"), device=device)
        told = model.predict(fold.data.part("test"))
        names = list(told.names)
        rows = Rows.of(
            [label[name] for name in names],
            told.probabilities,
            positive=data.positive_index,
            threshold=told.threshold,
            groups=[units[name] for name in names],
        )
        pooled[fold.repeat].append((rows, told.probabilities, names))
        metrics = {name: estimate.value for name, estimate in score(rows, _POINTS).overall.items()}
        single.append(FoldScore(repeat=fold.repeat, index=fold.index, images=len(names), metrics=metrics))
    repeated = [score(_pool(parts, data, label, units)).overall for parts in pooled.values()]
    result = CrossValidation(
        source=data.source,
        unit="block" if data.groups is None else "group",
        metrics={name: _mean([estimates[name] for estimates in repeated]) for name in repeated[0]},
        folds=tuple(single),
        config=config.to_dict(),
    )
    write_json(folder / "cross-validation.json", result.to_dict())
    return result


def _pool(
    parts: list[tuple[Rows, NDArray[np.float32], list[str]]],
    data: Dataset,
    label: Mapping[str, int],
    units: Mapping[str, str],
) -> Rows:
    """All folds of one repetition; each image stays decided by its own classifier's threshold."""
    names = [name for _, _, each in parts for name in each]
    whole = Rows.of(
        [label[name] for name in names],
        np.concatenate([probabilities for _, probabilities, _ in parts]),
        positive=data.positive_index,
        groups=[units[name] for name in names],
    )
    decided = np.concatenate([_in_order_of_input(rows) for rows, _, _ in parts])
    return replace(whole, predicted=decided[whole.order])


def _in_order_of_input(rows: Rows) -> NDArray[np.int64]:
    predicted = np.empty_like(rows.predicted)
    predicted[rows.order] = rows.predicted
    return predicted


def _mean(estimates: list[Estimate]) -> Estimate:
    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if len(known) == len(values) else None

    return Estimate(
        mean([each.value for each in estimates]),
        mean([each.low for each in estimates]),
        mean([each.high for each in estimates]),
    )
