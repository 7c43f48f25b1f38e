"""What the checks of backbones and generators share: small images, builds from a seed, sessions, stored weights."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from medsynth.artifact.golden import CpuRunner
from medsynth.images import ImageSpec
from medsynth.testing.subject import require
from medsynth.train.checkpoint import load_variables, model_variables, save_variables

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from medsynth.testing.subject import Subject

__all__ = ["CLASSES", "SIZE", "build", "copy_through_a_file", "images", "moved", "run_onnx", "shake"]

SIZE = 32
CLASSES = 3


def images(count: int, channels: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random blotches, uint8 (count, SIZE, SIZE, channels): neighbouring pixels resemble each other."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, SIZE // 4, SIZE // 4, channels), np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def build(subject: Subject, channels: int = 1, seed: int = 0) -> tuple[Any, Any]:
    """The plugin and the model it builds from a seed."""
    plugin = subject.create()
    keras.utils.set_random_seed(seed)
    model = plugin.build(ImageSpec(height=SIZE, width=SIZE, channels=channels), CLASSES)
    require(isinstance(model, keras.Model), f"build must return a keras.Model. Got {type(model).__name__}.")
    return plugin, model


def shake(model: keras.Model, seed: int = 0) -> None:
    """Change biases, scales and moving statistics a little: at their initial 0 and 1 they hide faults."""
    draw = np.random.default_rng(seed).uniform
    for variable in model.weights:
        if len(variable.shape) == 1 and keras.backend.is_float_dtype(variable.dtype):
            value = keras.ops.convert_to_numpy(variable)
            variable.assign(value * draw(0.8, 1.2, value.shape) + draw(0.0, 0.05, value.shape))


def moved(before: list[NDArray[Any]], model: keras.Model) -> bool:
    """Whether a trainable weight differs from what it was, and all are finite."""
    after = [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]
    require(all(bool(np.isfinite(value).all()) for value in after), "a training step must leave finite weights")
    return any(not np.array_equal(old, new) for old, new in zip(before, after, strict=True))


def copy_through_a_file(source: keras.Model, target: keras.Model) -> None:
    """Store the weights of one build and load them into another, as checkpoints do."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.npz"
        save_variables(path, {"model": model_variables(source)})
        load_variables(path, {"model": model_variables(target)})


def run_onnx(graph: onnx.ModelProto, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Every output of a graph, by onnxruntime on the CPU."""
    return CpuRunner(graph.SerializeToString()).run(inputs)
