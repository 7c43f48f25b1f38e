"""The training loop of a classifier: epochs, the best of them kept, and a checkpoint after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from medsynth.errors import MedsynthError
from medsynth.metrics import STATISTICS, Rows
from medsynth.train.calibrate import softmax
from medsynth.train.checkpoint import load_variables, model_variables, save_variables
from medsynth.train.precision import precision, wants_bfloat16
from medsynth.train.run import read_history, write_history
from medsynth.train.step import build_optimizer, compile_step

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from medsynth.config import ClassifierConfig
    from medsynth.progress import OnProgress
    from medsynth.train.examples import Examples
    from medsynth.train.run import Run

__all__ = ["Progress", "Stage", "answerer", "fit", "metrics_of", "read_progress"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Stage:
    """Epochs in which the same weights are trained.

    Attributes:
        first: Its first epoch.
        last: The epoch after its last.
        learning_rate: At its highest.
        keep_last: Whether the last weights are kept, and not those with the lowest validation loss.
        cached: Whether the examples are what the frozen layers make of the images, and not pixels.
        network: From the examples' inputs to logits; shares its weights with the whole network.
        train: What it learns from.
        validation: What it is watched on; one view.
    """

    first: int
    last: int
    learning_rate: float
    keep_last: bool
    cached: bool
    network: keras.Model
    train: Examples
    validation: Examples


@dataclass(frozen=True)
class Progress:
    """How far a run has come: epochs done, the history row of the best, and :attr:`Stage.cached` of the last stage."""

    epoch: int = 0
    best: Mapping[str, Any] | None = None
    cached: bool | None = None


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
        trainer.save({"epoch": epoch, "best": best, "cached": stage.cached})
    return Progress(epoch, best, stage.cached)


class _Trainer:
    """A compiled network with its optimizer."""

    def __init__(self, stage: Stage, run: Run, config: ClassifierConfig, report: OnProgress) -> None:
        self.stage, self.run, self.config, self.report = stage, run, config, report
        each = len(stage.train.epoch(0, config.batch_size, config.seed)[1])
        self.optimizer = build_optimizer(config, stage.learning_rate, each * (stage.last - stage.first))
        self.step = compile_step(stage.network, self.optimizer, config.label_smoothing)
        self.answer = answerer(stage.network)

    def restore(self) -> None:
        load_variables(self.run.checkpoint, self._saved())

    def save(self, state: Mapping[str, Any]) -> None:
        save_variables(self.run.checkpoint, self._saved(), state)

    def _saved(self) -> dict[str, list[keras.Variable]]:
        return {"model": model_variables(self.stage.network), "optimizer": list(self.optimizer.variables)}

    def train_epoch(self, epoch: int, before: Mapping[str, float]) -> dict[str, float]:
        """One pass; ``before`` is the history row of the last epoch, for the progress bar."""
        batches, sizes = self.stage.train.epoch(epoch, self.config.batch_size, self.config.seed)
        count, seen, sums = len(self.stage.train), 0, np.zeros(2)
        figures: dict[str, float] = {}
        with precision(wants_bfloat16(self.config.training_precision)):
            for size, batch in zip(sizes, batches, strict=True):
                sums += size * np.array([float(figure) for figure in self.step(*batch)])
                seen += size
                figures = dict(zip(("loss", "accuracy"), (sums / seen).tolist(), strict=True))
                watched = {"val_auc": before["val_auc"]} if before else {}
                self.report(epoch * count + seen, self.stage.last * count, figures | watched)
        return figures

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
