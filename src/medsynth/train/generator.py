"""Train a generator on the training part only."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import keras
import numpy as np
import tensorflow as tf

from medsynth.artifact import noise
from medsynth.config import GeneratorConfig
from medsynth.dataset import Dataset, Decoded, load_dataset
from medsynth.errors import DataError, MedsynthError
from medsynth.plugins import registry
from medsynth.progress import OnProgress, progress_bar
from medsynth.train.batches import balanced_batches, step_batches
from medsynth.train.checkpoint import load_variables, model_variables, optimizer_variables, save_variables
from medsynth.train.choice import Choice
from medsynth.train.curves import draw_generator_curves, draw_watch
from medsynth.train.replicas import Replicas
from medsynth.train.run import Run, read_history, start_run, write_history
from medsynth.train.samples import Filmstrip
from medsynth.train.watch import Watch

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["train_generator"]

_FEWEST = 3
"""Images of a class without which there is nothing to compare."""

_CHUNK = 50

_SCALAR = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"), data_class="DATA_CLASS_SCALAR"
)


class _DivergedError(MedsynthError):
    """A loss or a weight is not finite."""


def train_generator(
    data: Dataset | str | Path,
    *,
    out: str | Path,
    config: GeneratorConfig | None = None,
    resume: bool = False,
    **settings: Any,
) -> Run:
    """Train a class-conditional generator and keep its best weights.

    Args:
        data: A data set, or what :func:`medsynth.load_dataset` takes. It learns from the training part. The validation
            part decides which weights are kept, or the training part where that has fewer than three images of a class.
            The test part is not read.
        out: Folder of the run; see :mod:`medsynth.train.run` for what it will hold.
        config: The settings; or give them by keyword.
        resume: Go on with an interrupted run in ``out``.
        **settings: Fields of :class:`medsynth.config.GeneratorConfig` and options of the generator.

    Returns:
        The finished run, to be given to :func:`medsynth.export`.

    Raises:
        ConfigError: A setting or option does not exist or has a value it cannot have.
        DataError: The training part lacks a class.
        OutputError: ``out`` cannot be written to.
        MedsynthError: Training met NaN or infinity. What was good before is kept, and can be exported.
    """
    config = GeneratorConfig.chosen(config, settings)
    data = load_dataset(data)
    plugin = registry().create("generator", config.generator, config.options)
    run = start_run("generator", data, config, out=out, resume=resume)
    if run.finished:
        return _sound(run)
    replicas = Replicas(config.devices, config.batch_size)
    train = data.part("train").decode(run.image)
    missing = [name for index, name in enumerate(data.classes) if not (train.labels == index).any()]
    if missing:
        raise DataError(f"{data.source}: the training part has no readable image of {', '.join(missing)}.")

    if config.deterministic:
        tf.config.experimental.enable_op_determinism()  # For the rest of the process; there is no way back.
        # TensorFlow adds the terms of a sum in the order of their names, which Keras numbers on from model to model.
        keras.utils.clear_session()
    keras.utils.set_random_seed(config.seed)
    with progress_bar(f"Training {config.generator}", "steps") as report:
        with replicas.building():
            model = plugin.build(run.image, len(data.classes))
        balanced = plugin.balanced_batches if config.balanced is None else config.balanced
        watch, watched_on = _watch(data, train, run)
        recorder = _Recorder(run, config, model, plugin.sampler(model), watch, replicas, report)
        try:
            recorder.fit(train.images, train.labels, balanced)
            ended = {"ended": "steps" if recorder.step >= config.steps else "minutes"}
        except _DivergedError as error:
            if not recorder.choice.kept:
                raise
            ended = {"ended": "diverged", "diverged": str(error)}
    rows = read_history(run.history)
    draw_generator_curves(rows, run.folder / "curves.png")
    draw_watch(rows, run.folder / "watch.png")
    recorder.filmstrip.compose()
    done = run.finish(
        {
            "steps": rows[-1]["step"] + 1,
            "seconds": round(rows[-1]["seconds"], 1),
            **ended,
            "parameters": {part: int(getattr(model, part).count_params()) for part in plugin.trained_parts},
            "last": {key: value for key, value in rows[-1].items() if key not in {"step", "seconds"}},
            "kept": recorder.choice.kept,
            "watched_on": watched_on,
            "warnings": recorder.warnings,
            "skipped": [{"name": row.name, "reason": row.reason} for row in train.skipped],
        }
    )
    return _sound(done)


def _sound(run: Run) -> Run:
    if "diverged" in run.outcome:
        raise MedsynthError(run.outcome["diverged"])
    return run


def _watch(data: Dataset, train: Decoded, run: Run) -> tuple[Watch, str]:
    """Against the validation part, or the training part where that has too few images of a class; and which it is."""
    part, classes = "validation", len(data.classes)
    seen = data.part(part).decode(run.image) if part in data.split else None
    if seen is None or np.bincount(seen.labels, minlength=classes).min() < _FEWEST:
        seen, part = train, "train"
        print(
            f"{run.folder}: the validation part has fewer than {_FEWEST} images of a class; the training part decides "
            "which weights are kept.",
            file=sys.stderr,
        )
    few = np.flatnonzero(np.bincount(seen.labels, minlength=classes) < _FEWEST)
    if few.size:
        raise DataError(
            f"{data.source}: a generator needs {_FEWEST} training images of every class. "
            f"There are fewer of {', '.join(data.classes[index] for index in few)}."
        )
    return Watch(seen.images, seen.labels, classes), part


class _Recorder:
    """Drives the steps; writes the history at each, and every so often a grid, a look at it and a checkpoint."""

    def __init__(
        self,
        run: Run,
        config: GeneratorConfig,
        trained: keras.Model,
        sampler: keras.Model,
        watch: Watch,
        replicas: Replicas,
        report: OnProgress,
    ) -> None:
        self.run, self.config, self.trained, self.watch, self.report = run, config, trained, watch, report
        self.replicas = replicas
        self.every = config.sample_every or math.ceil(config.steps / 20)
        self.filmstrip = Filmstrip(run.folder, run.classes)
        self.latent = sampler.inputs[0].shape[1]
        self.sample = tf.function(lambda *rows: sampler(list(rows), training=False), reduce_retracing=True)
        self.step, self.before = 0, 0.0
        self.choice = Choice(run.classes, config.keep)
        self.warnings: list[str] = []
        if run.checkpoint.exists():
            state = load_variables(run.checkpoint, self._saved())
            self.step, self.before = state["step"], state["seconds"]
            self.warnings = state["warnings"]
            self.choice.restore(state)
            if self.step and self.run.weights.exists():
                # A kill may have come between the weights and the checkpoint; what is kept is what lies there. A run
                # that goes on from its beginning writes its untrained weights again.
                self.choice.kept = load_variables(self.run.weights, {}).get("kept", self.choice.kept)
        replicas.adopt(trained)
        self._board = tf.summary.create_file_writer(str(run.folder / "tensorboard")) if config.tensorboard else None
        self.limit = 60 * (config.minutes or math.inf)
        # A twentieth of the time too, because steps may be set far beyond what the minutes allow.
        self.pause = math.inf if config.sample_every else self.limit / 20
        self.looked = self.before
        self.began, self.first = time.monotonic(), self.step

    def fit(self, images: NDArray[np.uint8], labels: NDArray[np.int64], balanced: bool) -> None:
        """Train from the step reached to the last."""
        write_history(self.run.history, read_history(self.run.history, before=self.step))
        batch, seed = self.config.batch_size, self.config.seed
        if balanced:
            order = balanced_batches(labels, len(self.run.classes), batch, seed, self.step)
        else:
            order = step_batches(len(labels), batch, seed, self.step)
        train = self.replicas.step(self.trained, images, labels)
        with self.run.history.open("a", encoding="utf-8") as history:
            if self.step == 0:
                self._keep()
            ended = self._ended()
            while not ended:
                ended = self._record(train(next(order)), history)
        if self._board is not None:
            self._board.close()

    def _record(self, logs: Mapping[str, Any], history: TextIO) -> bool:
        """What belongs to a step that was just done; whether it was the last."""
        self.step += 1
        figures = {name: round(float(value), 6) for name, value in logs.items()}
        if not all(math.isfinite(value) for value in figures.values()):
            self._diverged(f"{figures}")
        ended = self._ended()
        due = ended or self.step % self.every == 0 or self._seconds() >= self.looked + self.pause
        seen = self._keep() if due else {}
        seconds = self._seconds()
        if due:
            self.looked = seconds
        row = {"step": self.step - 1, "seconds": round(seconds, 3), **figures, **seen}
        history.write(json.dumps(row) + "\n")
        if self._board is not None:
            with self._board.as_default(step=self.step):
                for name, value in {**figures, **seen}.items():
                    # tf.summary.scalar does the same, but wants TensorBoard installed where it trains.
                    tf.summary.write(name, tf.constant(value), metadata=_SCALAR)
        if due:
            # Behind the history, so that a kill between the two repeats the steps and writes the same lines again.
            history.flush()
            self._save(seconds)
        pace = max(seconds - self.before, 1e-9) / (self.step - self.first)
        # At least one, so that the bar is full when it is over.
        left = 0 if ended else min(self.config.steps - self.step, max(1, (self.limit - seconds) / pace))
        self.report(self.step, self.step + math.ceil(left), {"images/s": self.config.batch_size / pace, **figures})
        return ended

    def _ended(self) -> bool:
        # At least one step, however little time there is.
        return self.step >= self.config.steps or (self.step > 0 and self._seconds() >= self.limit)

    def _seconds(self) -> float:
        """Training time so far, that of the runs that this one goes on from included."""
        return self.before + time.monotonic() - self.began

    def _keep(self) -> dict[str, float]:
        """A grid, a look at the images, and the weights if they are the ones to keep."""
        every = [each for group in self._saved().values() for each in group]
        broken = [each.path for each in every if not np.isfinite(each.numpy()).all()]
        if broken:
            self._diverged(f"{broken[0]} is not finite")
        grid = self.filmstrip.add(self.step, self._draw(self.filmstrip.columns, 0)[0])
        if self.step == 0:
            self._save(0.0)
            save_variables(self.run.weights, {"model": model_variables(self.trained)})
            return {}
        look = self.watch.look(*self._draw(self.config.watched, self.filmstrip.columns))
        better, warnings = self.choice.see(self.step, look)
        if better:
            save_variables(self.run.weights, {"model": model_variables(self.trained)}, {"kept": self.choice.kept})
        for text in warnings:
            self._warn(text)
        diversity = list(zip(self.run.classes, look.diversity, strict=True))
        told = ", ".join(f"{name} {value:.2f}" for name, value in diversity)
        self._say(f"step {self.step}: {grid}, distance {look.distance:.2f}, diversity {told}")
        return {"watch_distance": look.distance, **{f"watch_diversity_{name}": value for name, value in diversity}}

    def _draw(self, columns: int, start: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """``columns`` images of each class, ordered by class, always from the same noise."""
        classes = len(self.run.classes)
        codes = noise(self.config.seed, start * classes, columns * classes, self.latent)
        labels = np.repeat(np.arange(classes), columns)
        chunks = [slice(at, at + _CHUNK) for at in range(0, len(labels), _CHUNK)]
        drawn = [self.sample(tf.constant(codes[rows]), tf.constant(labels[rows])).numpy() for rows in chunks]
        return np.concatenate(drawn), labels

    def _warn(self, text: str) -> None:
        self.warnings.append(text)
        self._say(f"{self.run.folder}: {text}")

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def _diverged(self, what: str) -> NoReturn:
        left = "There is nothing to keep from before it"
        if self.choice.kept:
            left = f"The weights of step {self.choice.kept['step']} are kept, so export works"
        raise _DivergedError(
            f"{self.run.folder}: training diverged at step {self.step}: {what}. {left}; try a lower learning rate in "
            "another --out."
        )

    def _save(self, seconds: float) -> None:
        """Everything that is needed to go on from here."""
        state = {"step": self.step, "seconds": seconds, "warnings": self.warnings, **self.choice.state}
        save_variables(self.run.checkpoint, self._saved(), state)

    def _saved(self) -> dict[str, list[keras.Variable]]:
        return {"model": model_variables(self.trained), "optimizer": optimizer_variables(self.trained)}
