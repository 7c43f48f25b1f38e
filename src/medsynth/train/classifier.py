"""Train a backbone on the training part, watched on the validation part; the test part is not touched."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from medsynth.config import ClassifierConfig
from medsynth.dataset import Dataset, Decoded, load_dataset
from medsynth.errors import DataError
from medsynth.plugins import registry
from medsynth.progress import progress_bar
from medsynth.train.calibrate import fit_calibration, operating_threshold
from medsynth.train.checkpoint import load_variables, model_variables
from medsynth.train.curves import draw_classifier_curves
from medsynth.train.fitting import answerer, fit, metrics_of, read_progress
from medsynth.train.run import Run, read_history, start_run
from medsynth.train.stages import Material, plan_stages

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["train_classifier"]


def train_classifier(
    data: Dataset | str | Path,
    *,
    out: str | Path,
    config: ClassifierConfig | None = None,
    resume: bool = False,
    sample_weight: NDArray[np.floating[Any]] | None = None,
    **settings: Any,
) -> Run:
    """Train a classifier and keep the weights of its best epoch, or of its last (``keep``).

    The best epoch is the one with the lowest log-loss on the validation part; training stops when ``patience`` epochs
    have not lowered it. Layers that are not trained, up to one of the backbone's freeze points, are computed once for
    ``views`` augmented views of each training image. At the end the calibration of the probabilities, a temperature and
    a bias for each class, is fitted on the validation part, and for two classes the operating threshold chosen there:
    the one with the largest sensitivity + specificity (Youden), or the highest with the ``sensitivity`` demanded.

    Args:
        data: A data set, or what :func:`medsynth.load_dataset` takes.
        out: Folder of the run; see :mod:`medsynth.train.run` for what it will hold.
        config: The settings; or give them by keyword.
        resume: Go on with an interrupted run in ``out``.
        sample_weight: Weight of each row of the data set in the loss, (n,), finite and not negative; those of the
            training part are brought to mean 1 and multiplied by the class weights. A run is resumed with the
            same ones.
        **settings: Fields of :class:`medsynth.config.ClassifierConfig` and options of the backbone.

    Returns:
        The finished run, to be given to :func:`medsynth.export`.

    Raises:
        ConfigError: A setting or option does not exist or has a value it cannot have.
        DataError: The training or validation part lacks a class, or ``sample_weight`` cannot be what it says.
        OutputError: ``out`` cannot be written to.
    """
    config = ClassifierConfig.chosen(config, settings)
    data = load_dataset(data)
    backbone = registry().create("backbone", config.backbone, config.options)
    digest = "" if sample_weight is None else hashlib.sha256(np.asarray(sample_weight, "<f8").tobytes()).hexdigest()
    run = start_run("classifier", data, config, out=out, resume=resume, sample_weight=digest)
    if run.finished:
        return run
    train = data.part("train").decode(run.image)
    validation = data.part("validation").decode(run.image)
    _require_every_class(data, train, validation)

    keras.utils.set_random_seed(config.seed)
    model = backbone.build(run.image, len(data.classes))
    weights = _class_weights(train.labels, len(run.classes), config.class_weight)
    if sample_weight is not None:
        weights *= _row_weights(data, train, sample_weight)
    pretrained = getattr(backbone, "weights", "none") != "none"
    material = Material(model, pretrained, backbone.freeze_points(model), train, validation, weights)
    progress = read_progress(run)
    frozen = []
    for plan in plan_stages(config):
        if progress.epoch > plan.last:
            continue  # The checkpoint is of a later stage.
        stage, facts = plan.prepare(material, run, config, progress.cached if progress.epoch > plan.first else None)
        frozen.append(facts)
        with progress_bar(f"Training {config.backbone}", "images") as report:
            progress = fit(stage, run, config, model, progress, report)
        load_variables(run.weights, {"model": model_variables(model)})
    draw_classifier_curves(read_history(run.history), run.folder / "curves.png")

    decisions = _decide(model, validation, run, config)
    if config.cache is None:
        shutil.rmtree(run.views, ignore_errors=True)
    skipped = [{"name": row.name, "reason": row.reason} for row in (*train.skipped, *validation.skipped)]
    return run.finish(
        {
            "epochs": progress.epoch,
            "best_epoch": (progress.best or {}).get("epoch"),
            **decisions,
            "frozen": frozen,
            "seconds": round(sum(row["seconds"] for row in read_history(run.history)), 1),
            "parameters": int(model.count_params()),
            "skipped": skipped,
        }
    )


def _decide(model: keras.Model, validation: Decoded, run: Run, config: ClassifierConfig) -> dict[str, Any]:
    """Calibration and threshold belong to the weights that are kept, so they are chosen with them."""
    logits = answerer(keras.Model(model.inputs[0], model.output["logits"]))(validation.images, config.batch_size)
    calibration = fit_calibration(logits, validation.labels)
    probabilities = calibration.probabilities(logits)
    threshold = None
    if len(run.classes) == 2:
        positive = run.classes.index(run.positive)
        threshold = operating_threshold(validation.labels == positive, probabilities[:, positive], config.sensitivity)
    return {
        "temperature": calibration.temperature,
        "bias": list(calibration.bias),
        "threshold": threshold,
        "validation": metrics_of(probabilities, validation.labels, run, threshold),
    }


def _class_weights(labels: NDArray[np.int64], classes: int, how: str) -> NDArray[np.float32]:
    if how == "none":
        return np.ones(len(labels), np.float32)
    return (len(labels) / (classes * np.bincount(labels, minlength=classes)))[labels].astype(np.float32)


def _row_weights(data: Dataset, train: Decoded, given: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Weight of each decoded training image, mean 1."""
    weights = np.asarray(given, np.float64)
    if weights.shape != (len(data),) or not np.isfinite(weights).all() or (weights < 0).any():
        raise DataError(
            f"{data.source}: sample_weight must be {len(data)} finite numbers, none below 0. Got shape {weights.shape}."
        )
    row = {name: index for index, name in enumerate(data.names)}
    chosen = weights[[row[name] for name in train.names]]
    if not chosen.any():
        raise DataError(f"{data.source}: sample_weight must be above 0 for some training image. Got only zeros.")
    relative: NDArray[np.float32] = (chosen / chosen.mean()).astype(np.float32)
    return relative


def _require_every_class(data: Dataset, train: Decoded, validation: Decoded) -> None:
    for name, part in (("training", train), ("validation", validation)):
        missing = [data.classes[index] for index in range(len(data.classes)) if not (part.labels == index).any()]
        if missing:
            raise DataError(
                f"{data.source}: the {name} part has no readable image of {', '.join(missing)}. "
                "Every class needs some there; give more images or a split column."
            )
