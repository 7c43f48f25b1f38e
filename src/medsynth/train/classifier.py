"""Train a backbone on the training part, watched on the validation part; the test part is not touched."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from medsynth.config import ClassifierConfig
from medsynth.dataset import Dataset, Decoded, load_dataset
from medsynth.errors import DataError, MedsynthError
from medsynth.metrics import STATISTICS, Rows, youden_threshold
from medsynth.plugins import registry
from medsynth.progress import OnProgress, progress_bar
from medsynth.train.augment import augment
from medsynth.train.batches import epoch_batches
from medsynth.train.checkpoint import load_variables, model_variables, optimizer_variables, save_variables
from medsynth.train.curves import draw_classifier_curves
from medsynth.train.run import Run, read_history, start_run, write_history

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["train_classifier"]


def train_classifier(
    data: Dataset | str | Path,
    *,
    out: str | Path,
    config: ClassifierConfig | None = None,
    resume: bool = False,
    **settings: Any,
) -> Run:
    """Train a classifier and keep the weights of its best epoch.

    The best epoch is the one with the lowest log-loss on the validation part; training stops when ``patience`` epochs
    have not lowered it. For two classes the operating threshold is then chosen on the validation part (Youden's J).

    Args:
        data: A data set, or what :func:`medsynth.load_dataset` takes.
        out: Folder of the run; see :mod:`medsynth.train.run` for what it will hold.
        config: The settings; or give them by keyword.
        resume: Go on with an interrupted run in ``out``.
        **settings: Fields of :class:`medsynth.config.ClassifierConfig` and options of the backbone.

    Returns:
        The finished run, to be given to :func:`medsynth.export`.

    Raises:
        ConfigError: A setting or option does not exist or has a value it cannot have.
        DataError: The training or validation part lacks a class.
        OutputError: ``out`` cannot be written to.
    """
    config = config or ClassifierConfig.from_settings(settings)
    data = load_dataset(data)
    backbone = registry().create("backbone", config.backbone, config.options)
    run = start_run("classifier", data, config, out=out, resume=resume)
    if run.finished:
        return run
    train = data.part("train").decode(run.image)
    validation = data.part("validation").decode(run.image)
    _require_every_class(data, train, validation)

    keras.utils.set_random_seed(config.seed)
    model = backbone.build(run.image, len(data.classes))
    with progress_bar(f"Training {config.backbone}", "images") as report:
        fitting = _Fitting(run, config, model, train, validation, report)
        best = fitting.fit()
    # The operating threshold belongs to the weights that are kept, so it is chosen with them.
    load_variables(run.weights, {"model": model_variables(model)})
    probabilities = fitting.validate()
    positive = data.positive_index
    threshold = (
        youden_threshold(validation.labels == positive, probabilities[:, positive]) if len(data.classes) == 2 else None
    )
    skipped = [{"name": row.name, "reason": row.reason} for row in (*train.skipped, *validation.skipped)]
    return run.finish(
        {
            "epochs": fitting.epoch,
            "best_epoch": best["epoch"],
            "threshold": threshold,
            "validation": fitting.metrics(probabilities, threshold),
            "seconds": round(sum(row["seconds"] for row in read_history(run.history)), 1),
            "parameters": int(model.count_params()),
            "skipped": skipped,
        }
    )


class _Fitting:
    """The state of one fit: the network, its optimizer, and how far it has come."""

    def __init__(
        self,
        run: Run,
        config: ClassifierConfig,
        model: keras.Model,
        train: Decoded,
        validation: Decoded,
        report: OnProgress,
    ) -> None:
        self.run, self.config, self.model = run, config, model
        self.train, self.validation, self.report = train, validation, report
        self.positive = run.classes.index(run.positive)
        self.weights_by_class = _class_weights(train.labels, len(run.classes), config.class_weight)
        inputs = keras.Input(run.image.shape, dtype="uint8")
        self.trainer = keras.Model(inputs, model(inputs)["logits"])
        self.trainer.compile(
            optimizer=keras.optimizers.Adam(config.learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=[],
            metrics=["accuracy"],
            jit_compile=False,
        )
        self.trainer.optimizer.build(self.trainer.trainable_variables)
        self.probabilities = tf.function(
            lambda images: model(images, training=False)["probabilities"],
            input_signature=[tf.TensorSpec((None, *run.image.shape), tf.uint8)],
        )
        self.epoch = 0
        self.best: dict[str, Any] = {}
        if run.checkpoint.exists():
            state = load_variables(run.checkpoint, self._saved())
            self.epoch, self.best = state["epoch"], state["best"]
        self.rows = read_history(run.history, before=self.epoch)
        write_history(run.history, self.rows)

    def fit(self) -> dict[str, Any]:
        """Train to the end and return the history row of the best epoch."""
        while self.epoch < self.config.epochs and not self._exhausted():
            began = time.monotonic()
            row = {"epoch": self.epoch, **self._train_epoch(), **self._measure()}
            row["seconds"] = round(time.monotonic() - began, 3)
            self.rows.append(row)
            self.epoch += 1
            if not self.best or row["val_loss"] < self.best["val_loss"]:
                self.best = row
                save_variables(self.run.weights, {"model": model_variables(self.model)})
            write_history(self.run.history, self.rows)
            # Last, so that a kill before it repeats the epoch and writes the same files again.
            save_variables(self.run.checkpoint, self._saved(), {"epoch": self.epoch, "best": self.best})
        draw_classifier_curves(self.rows, self.run.folder / "curves.png")
        return self.best

    def _exhausted(self) -> bool:
        return bool(self.best) and self.epoch - 1 - self.best["epoch"] >= self.config.patience

    def _saved(self) -> dict[str, list[keras.Variable]]:
        return {"model": model_variables(self.trainer), "optimizer": optimizer_variables(self.trainer)}

    def _train_epoch(self) -> dict[str, float]:
        batches = epoch_batches(len(self.train.labels), self.config.batch_size, self.config.seed, self.epoch)
        steps = len(batches)

        def stream() -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.int64], NDArray[np.float32]]]:
            for index, rows in enumerate(batches):
                labels = self.train.labels[rows]
                yield self.epoch * steps + index, self.train.images[rows], labels, self.weights_by_class[labels]

        def prepare(step: Any, images: Any, labels: Any, weights: Any) -> tuple[Any, Any, Any]:
            if self.config.augmentation:
                images = augment(images, tf.stack([tf.constant(self.config.seed, tf.int64), step]), self.config.noise)
            return images, labels, weights

        signature = (
            tf.TensorSpec((), tf.int64),
            tf.TensorSpec((None, *self.run.image.shape), tf.uint8),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None,), tf.float32),
        )
        dataset = tf.data.Dataset.from_generator(stream, output_signature=signature).map(prepare).prefetch(2)
        seen = np.cumsum([len(rows) for rows in batches])
        count = len(self.train.labels)

        def tell(step: int, logs: Mapping[str, float]) -> None:
            figures = {"loss": logs["loss"], "accuracy": logs["accuracy"]}
            if self.rows:
                figures["val_auc"] = self.rows[-1]["val_auc"]
            self.report(self.epoch * count + int(seen[step]), self.config.epochs * count, figures)

        history = self.trainer.fit(
            dataset,
            steps_per_epoch=steps,
            verbose=0,
            shuffle=False,
            callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=tell)],
        ).history
        return {"loss": float(history["loss"][-1]), "accuracy": float(history["accuracy"][-1])}

    def _measure(self) -> dict[str, float]:
        """Validation metrics of the epoch, at the threshold 0.5 for two classes."""
        return {f"val_{name}": value for name, value in self.metrics(self.validate(), None).items()}

    def validate(self) -> NDArray[np.float32]:
        """Probabilities (n, classes) of the validation part."""
        images = self.validation.images
        size = self.config.batch_size
        chunks = [self.probabilities(images[start : start + size]) for start in range(0, len(images), size)]
        probabilities = np.concatenate([chunk.numpy() for chunk in chunks])
        if not np.isfinite(probabilities).all():
            raise MedsynthError(
                f"{self.run.folder}: training diverged in epoch {self.epoch + 1}: the network answers with NaN. "
                f"Try a learning_rate below {self.config.learning_rate}. The best epoch so far is kept."
            )
        return probabilities

    def metrics(self, probabilities: NDArray[np.float32], threshold: float | None) -> dict[str, float]:
        """Every classification metric of the validation part."""
        rows = Rows.of(self.validation.labels, probabilities, positive=self.positive, threshold=threshold)
        once = np.ones((1, len(rows)))
        return {name: float(statistic(rows, once)[0, 0]) for name, statistic in STATISTICS.items()}


def _class_weights(labels: NDArray[np.int64], classes: int, how: str) -> NDArray[np.float32]:
    if how == "none":
        return np.ones(classes, np.float32)
    return (len(labels) / (classes * np.bincount(labels, minlength=classes))).astype(np.float32)


def _require_every_class(data: Dataset, train: Decoded, validation: Decoded) -> None:
    for name, part in (("training", train), ("validation", validation)):
        missing = [data.classes[index] for index in range(len(data.classes)) if not (part.labels == index).any()]
        if missing:
            raise DataError(
                f"{data.source}: the {name} part has no readable image of {', '.join(missing)}. "
                "Every class needs some there; give more images or a split column."
            )
