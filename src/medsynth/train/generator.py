"""Train a generator on the training part only."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import keras
import numpy as np
import tensorflow as tf

from medsynth.artifact import noise
from medsynth.config import GeneratorConfig
from medsynth.dataset import Dataset, load_dataset
from medsynth.errors import DataError, MedsynthError
from medsynth.plugins import registry
from medsynth.progress import OnProgress, progress_bar
from medsynth.train.batches import step_batches
from medsynth.train.checkpoint import load_variables, model_variables, optimizer_variables, save_variables
from medsynth.train.curves import draw_generator_curves
from medsynth.train.run import Run, read_history, start_run, write_history
from medsynth.train.samples import Filmstrip

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["train_generator"]


def train_generator(
    data: Dataset | str | Path,
    *,
    out: str | Path,
    config: GeneratorConfig | None = None,
    resume: bool = False,
    **settings: Any,
) -> Run:
    """Train a class-conditional generator and keep its last weights.

    Args:
        data: A data set, or what :func:`medsynth.load_dataset` takes; only its training part is used.
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
    """
    config = config or GeneratorConfig.from_settings(settings)
    data = load_dataset(data)
    plugin = registry().create("generator", config.generator, config.options)
    run = start_run("generator", data, config, out=out, resume=resume)
    if run.finished:
        return run
    train = data.part("train").decode(run.image)
    missing = [name for index, name in enumerate(data.classes) if not (train.labels == index).any()]
    if missing:
        raise DataError(f"{data.source}: the training part has no readable image of {', '.join(missing)}.")

    keras.utils.set_random_seed(config.seed)
    model = plugin.build(run.image, len(data.classes))
    with progress_bar(f"Training {config.generator}", "steps") as report:
        recorder = _Recorder(run, config, model, plugin.sampler(model), report)
        # The image arrays stay in Python: one batch at a time is handed over.
        recorder.fit(train.images, train.labels)
    rows = read_history(run.history)
    draw_generator_curves(rows, run.folder / "curves.png")
    recorder.filmstrip.compose()
    return run.finish(
        {
            "steps": config.steps,
            "seconds": round(rows[-1]["seconds"], 1),
            "parameters": {part: int(getattr(model, part).count_params()) for part in plugin.trained_parts},
            "last": {key: value for key, value in rows[-1].items() if key not in {"step", "seconds"}},
            "skipped": [{"name": row.name, "reason": row.reason} for row in train.skipped],
        }
    )


class _Recorder(keras.callbacks.Callback):
    """Writes the history at every step; a grid of images and a checkpoint every so often."""

    def __init__(
        self, run: Run, config: GeneratorConfig, trained: keras.Model, sampler: keras.Model, report: OnProgress
    ) -> None:
        super().__init__()
        self.run, self.config, self.trained, self.report = run, config, trained, report
        self.every = config.sample_every or math.ceil(config.steps / 20)
        self.filmstrip = Filmstrip(run.folder, run.classes)
        columns = self.filmstrip.columns
        self.rows = (
            tf.constant(noise(config.seed, 0, columns * len(run.classes), sampler.inputs[0].shape[1])),
            tf.constant(np.repeat(np.arange(len(run.classes)), columns)),
        )
        self.sample = tf.function(lambda rows: sampler(rows, training=False), reduce_retracing=True)
        self.step, self.before = 0, 0.0
        if run.checkpoint.exists():
            state = load_variables(run.checkpoint, self._saved())
            self.step, self.before = state["step"], state["seconds"]
        self._history: TextIO | None = None
        self.began = time.monotonic()

    def fit(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        """Train from the step reached to the last."""
        write_history(self.run.history, read_history(self.run.history, before=self.step))

        def stream() -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
            for rows in step_batches(len(labels), self.config.batch_size, self.config.seed, self.step):
                yield images[rows], labels[rows]

        batch = self.config.batch_size
        signature = (
            tf.TensorSpec((batch, *self.run.image.shape), tf.uint8),
            tf.TensorSpec((batch,), tf.int64),
        )
        dataset = tf.data.Dataset.from_generator(stream, output_signature=signature).prefetch(2)
        with self.run.history.open("a", encoding="utf-8") as self._history:
            if self.step == 0:
                self._keep()
            if self.step < self.config.steps:  # Else Keras would walk the endless stream.
                steps = self.config.steps - self.step
                self.trained.fit(dataset, steps_per_epoch=steps, verbose=0, shuffle=False, callbacks=[self])

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        """Keras calls it after every step."""
        figures = {name: round(float(value), 6) for name, value in (logs or {}).items()}
        if not all(math.isfinite(value) for value in figures.values()):
            raise MedsynthError(
                f"{self.run.folder}: training diverged at step {self.step + 1}: {figures}. The checkpoint of the last "
                "grid is kept; try a lower learning_rate."
            )
        seconds = round(self.before + time.monotonic() - self.began, 3)
        if self._history is not None:
            self._history.write(json.dumps({"step": self.step, "seconds": seconds, **figures}) + "\n")
        self.step += 1
        self.report(self.step, self.config.steps, figures)
        if self.step % self.every == 0 or self.step == self.config.steps:
            self._keep()

    def _keep(self) -> None:
        """A grid, and everything that is needed to go on from here."""
        self.filmstrip.add(self.step, self.sample(self.rows).numpy())
        if self._history is not None:
            self._history.flush()
        save_variables(self.run.weights, {"model": model_variables(self.trained)})
        seconds = self.before + time.monotonic() - self.began
        save_variables(self.run.checkpoint, self._saved(), {"step": self.step, "seconds": seconds})

    def _saved(self) -> dict[str, list[keras.Variable]]:
        return {"model": model_variables(self.trained), "optimizer": optimizer_variables(self.trained)}
