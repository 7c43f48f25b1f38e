"""The training loop of a classifier: epochs, the best of them kept, and a checkpoint after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from medsynth.errors import MedsynthError
from medsynth.metrics import STATISTICS, Rows
from medsynth.train.calibrate import softmax
from medsynth.train.checkpoint import load_variables, model_variables, optimizer_variables, save_variables
from medsynth.train.precision import precision, wants_bfloat16
from medsynth.train.run import read_history, write_history

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.config import ClassifierConfig
    from medsynth.progress import OnProgress
    from medsynth.train.examples import Examples
    from medsynth.train.run import Run

__all__ = ["Progress", "Stage", "answerer", "build_optimizer", "cross_entropy", "fit", "metrics_of", "read_progress"]

_WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Stage:
    """Epochs in which the same weights are trained.

    Attributes:
        first: Its first epoch.
        last: The epoch after its last.
        learning_rate: At its highest.
        keep_last: Whether the last weights are kept, and not those with the lowest validation loss.
        network: From the examples' inputs to logits; shares its weights with the whole network.
        train: What it learns from.
        validation: What it is watched on; one view.
    """

    first: int
    last: int
    learning_rate: float
    keep_last: bool
    network: keras.Model
    train: Examples
    validation: Examples


@dataclass(frozen=True)
class Progress:
    """How far a run has come: epochs done, and the history row of the best one."""

    epoch: int = 0
    best: Mapping[str, Any] | None = None


def read_progress(run: Run) -> Progress:
    """Of an interrupted run; of a new one where there is no checkpoint."""
    return Progress(**load_variables(run.checkpoint, {})) if run.checkpoint.exists() else Progress()


def fit(
    stage: Stage, run: Run, config: ClassifierConfig, model: keras.Model, progress: Progress, report: OnProgress
) -> Progress:
    """Train one stage, from its beginning or from the checkpoint, and leave the weights to keep in the run's folder.

    Unless the last are kept, training stops when ``patience`` epochs of the stage have not lowered the validation loss.

    Args:
        stage: What is trained.
        run: Where history, weights and checkpoint are written.
        config: The settings.
        model: The whole network, whose weights are kept.
        progress: Of the run so far.
        report: Called after every step with (images done, images in all, figures).

    Raises:
        MedsynthError: The network answers with NaN.
    """
    trainer = _Trainer(stage, run, config, report)
    if progress.epoch > stage.first:
        trainer.restore()
    rows = read_history(run.history, before=progress.epoch)
    write_history(run.history, rows)
    epoch, best = max(progress.epoch, stage.first), progress.best
    fruitless = epoch - max(stage.first, 0 if best is None else best["epoch"] + 1)
    while epoch < stage.last and fruitless < config.patience:
        began = time.monotonic()
        trained = trainer.train_epoch(epoch, rows[-1] if rows else {})
        measured = metrics_of(softmax(trainer.validate(epoch)), stage.validation.labels, run, None)
        row = {"epoch": epoch, **trained, **{f"val_{name}": value for name, value in measured.items()}}
        row["seconds"] = round(time.monotonic() - began, 3)
        rows.append(row)
        epoch, fruitless = epoch + 1, fruitless + 1
        if stage.keep_last or best is None or row["val_loss"] < best["val_loss"]:
            best, fruitless = row, 0
            save_variables(run.weights, {"model": model_variables(model)})
        write_history(run.history, rows)
        # Last, so that a kill before it repeats the epoch and writes the same files again.
        trainer.save({"epoch": epoch, "best": best})
    return Progress(epoch, best)


class _Trainer:
    """A compiled network with its optimizer."""

    def __init__(self, stage: Stage, run: Run, config: ClassifierConfig, report: OnProgress) -> None:
        self.stage, self.run, self.config, self.report = stage, run, config, report
        # A model of its own, because compiling one that the caller holds would leave an optimizer in it.
        self.model = keras.Model(stage.network.inputs[0], stage.network.outputs[0])
        each = len(stage.train.epoch(0, config.batch_size, config.seed)[1])
        self.model.compile(
            optimizer=build_optimizer(config, stage.learning_rate, each * (stage.last - stage.first)),
            loss=cross_entropy(config.label_smoothing),
            weighted_metrics=[],
            metrics=["accuracy"],
            jit_compile=False,
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.answer = answerer(self.model)

    def restore(self) -> None:
        load_variables(self.run.checkpoint, self._saved())

    def save(self, state: Mapping[str, Any]) -> None:
        save_variables(self.run.checkpoint, self._saved(), state)

    def _saved(self) -> dict[str, list[keras.Variable]]:
        return {"model": model_variables(self.model), "optimizer": optimizer_variables(self.model)}

    def train_epoch(self, epoch: int, before: Mapping[str, float]) -> dict[str, float]:
        """One pass; ``before`` is the history row of the last epoch, for the progress bar."""
        batches, sizes = self.stage.train.epoch(epoch, self.config.batch_size, self.config.seed)
        seen, count = np.cumsum(sizes), len(self.stage.train)

        def tell(step: int, logs: Mapping[str, float]) -> None:
            figures = {"loss": logs["loss"], "accuracy": logs["accuracy"]}
            if before:
                figures["val_auc"] = before["val_auc"]
            self.report(epoch * count + int(seen[step]), self.stage.last * count, figures)

        with precision(wants_bfloat16(self.config.training_precision)):
            history = self.model.fit(
                batches,
                steps_per_epoch=len(sizes),
                verbose=0,
                shuffle=False,
                callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=tell)],
            ).history
        return {"loss": float(history["loss"][-1]), "accuracy": float(history["accuracy"][-1])}

    def validate(self, epoch: int) -> NDArray[np.float32]:
        """Logits (n, classes) of the validation examples."""
        logits = self.answer(self.stage.validation.views[0], self.config.batch_size)
        if not np.isfinite(logits).all():
            raise MedsynthError(
                f"{self.run.folder}: training diverged in epoch {epoch + 1}: the network answers with NaN. "
                f"Try a learning_rate below {self.stage.learning_rate}. The best epoch so far is kept."
            )
        return logits


def answerer(network: keras.Model) -> Callable[[NDArray[Any], int], NDArray[np.float32]]:
    """A function from (inputs, batch size) to the one output of a network, as at inference."""
    taken = network.inputs[0]
    signature = [tf.TensorSpec((None, *taken.shape[1:]), tf.as_dtype(taken.dtype))]
    traced = tf.function(lambda inputs: network(inputs, training=False), input_signature=signature)

    def answer(inputs: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
        starts = range(0, len(inputs), batch_size)
        return np.concatenate([traced(inputs[start : start + batch_size]).numpy() for start in starts])

    return answer


def metrics_of(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], run: Run, threshold: float | None
) -> dict[str, float]:
    """Every classification metric; two classes are decided at the threshold, or at 0.5."""
    rows = Rows.of(labels, probabilities, positive=run.classes.index(run.positive), threshold=threshold)
    once = np.ones((1, len(rows)))
    return {name: float(statistic(rows, once)[0, 0]) for name, statistic in STATISTICS.items()}


def build_optimizer(config: ClassifierConfig, rate: float, steps: int) -> keras.optimizers.Optimizer:
    """Adam, with the settings' weight decay and schedule.

    Args:
        config: The settings.
        rate: Learning rate at its highest.
        steps: Over which it rises and falls, with the schedule ``"cosine"``.
    """
    scheduled: Any = rate
    if config.schedule == "cosine":
        warm = max(1, round(_WARM_UP * steps))
        scheduled = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warm), alpha=0.01, warmup_target=rate, warmup_steps=warm
        )
    if not config.weight_decay:
        return keras.optimizers.Adam(scheduled)
    optimizer = keras.optimizers.AdamW(scheduled, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def cross_entropy(smoothing: float) -> keras.losses.Loss:
    """Of logits and class indices, with label smoothing."""
    if not smoothing:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss(labels: Any, logits: Any) -> Any:
        targets = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), logits.shape[-1])
        return keras.losses.categorical_crossentropy(targets, logits, from_logits=True, label_smoothing=smoothing)

    return loss
