"""Checks of generators."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from medsynth.export.keras_onnx import sampler_to_onnx
from medsynth.export.parity import GREY_TOLERANCE
from medsynth.testing.networks import (
    CLASSES,
    SIZE,
    build,
    copy_through_a_file,
    images,
    moved,
    run_onnx,
    shake,
)
from medsynth.testing.subject import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.testing.subject import Check, Subject

__all__ = ["CHECKS"]


def check_parts_and_sampler(subject: Subject) -> None:
    """At 1 and 3 channels: a compiled model with its trained parts, and a sampler of the contract's signature."""
    for channels in (1, 3):
        plugin, model = build(subject, channels)
        require(model.built and model.compiled, "build must return a model that is built and compiled")
        require(len(plugin.trained_parts) > 0, "trained_parts must name the networks that a step trains")
        for part in plugin.trained_parts:
            network = getattr(model, part, None)
            require(
                isinstance(network, keras.Model) and bool(network.trainable_variables),
                f"model.{part} of trained_parts must be a keras.Model with trainable weights. Got {network!r}.",
            )
        sampler = plugin.sampler(model)
        found = [
            (tensor.name, keras.backend.standardize_dtype(tensor.dtype), len(tensor.shape)) for tensor in sampler.inputs
        ]
        wanted = [("noise", "float32", 2), ("label", "int64", 1)]
        require(found == wanted, f"the sampler's inputs (name, dtype, axes) must be {wanted}. Got {found}.")
        drawn = _draw(sampler, 2, np.arange(2))
        require(
            drawn.dtype == np.uint8 and drawn.shape == (2, SIZE, SIZE, channels),
            f"2 images must be uint8 {(2, SIZE, SIZE, channels)}. Got {drawn.dtype} {drawn.shape}.",
        )
        require(int(drawn.max()) > int(drawn.min()), f"the images must not be blank. Every pixel is {drawn.max()}.")


def check_same_seed_same_weights(subject: Subject) -> None:
    """Weights depend only on the seed and the options."""
    plugin, first = build(subject, seed=7)
    _, second = build(subject, seed=7)
    for part in plugin.trained_parts:
        for one, other in zip(getattr(first, part).get_weights(), getattr(second, part).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other, err_msg=part)


def check_label_matters(subject: Subject) -> None:
    """The same noise under two labels gives different images."""
    sampler = _shaken_sampler(subject)
    drawn = [_draw(sampler, 4, np.full(4, label)) for label in range(CLASSES)]
    for label in range(1, CLASSES):
        require(not np.array_equal(drawn[0], drawn[label]), f"labels 0 and {label} must give different images")


def check_noise_matters(subject: Subject) -> None:
    """Two rows of noise under the same label give different images."""
    drawn = _draw(_shaken_sampler(subject), 2, np.zeros(2, np.int64))
    require(not np.array_equal(drawn[0], drawn[1]), "two rows of noise must give different images")


def check_sampler_is_deterministic(subject: Subject) -> None:
    """The same input gives the same image, twice, and alone as among others (to 1 grey level)."""
    sampler = _shaken_sampler(subject)
    labels = np.arange(3) % CLASSES
    together = _draw(sampler, 3, labels)
    np.testing.assert_array_equal(_draw(sampler, 3, labels), together)
    for row in range(3):
        _assert_grey(_draw(sampler, 1, labels[row : row + 1], start=row), together[row : row + 1], f"row {row}")


def check_onnx_equals_keras(subject: Subject) -> None:
    """The exported graph gives the same images, to 1 grey level, at batch 1 and 3."""
    for channels in (1, 3):
        sampler = _shaken_sampler(subject, channels)
        graph = sampler_to_onnx(sampler)
        for count in (1, 3):
            labels = np.arange(count) % CLASSES
            found = run_onnx(graph, {"noise": _noise(sampler, count), "label": labels.astype(np.int64)})
            _assert_grey(found["images"], _draw(sampler, count, labels), f"batch {count}")


def check_training_step_moves_every_part(subject: Subject) -> None:
    """One step returns named finite losses and moves the weights of every network in ``trained_parts``."""
    plugin, model = build(subject)
    before = {
        part: [keras.ops.convert_to_numpy(variable) for variable in getattr(model, part).trainable_variables]
        for part in plugin.trained_parts
    }
    labels = np.arange(2 * CLASSES) % CLASSES
    losses = model.fit(images(len(labels), 1), labels, batch_size=len(labels), verbose=0).history
    require(bool(losses), "train_step must return named losses")
    for name, (value,) in losses.items():
        require(math.isfinite(value), f"{name} of one training step must be finite. Got {value}.")
    for part, weights in before.items():
        require(moved(weights, getattr(model, part)), f"one training step must move the weights of model.{part}")


def check_weights_survive_saving(subject: Subject) -> None:
    """A second build, filled with stored weights, draws the same images."""
    plugin, model = build(subject, seed=1)
    shake(model)
    _, restored = build(subject, seed=2)
    copy_through_a_file(model, restored)
    labels = np.arange(3) % CLASSES
    _assert_grey(_draw(plugin.sampler(restored), 3, labels), _draw(plugin.sampler(model), 3, labels), "restored")


def _shaken_sampler(subject: Subject, channels: int = 1) -> keras.Model:
    plugin, model = build(subject, channels)
    shake(model)
    return plugin.sampler(model)


def _draw(sampler: keras.Model, count: int, labels: NDArray[np.integer[Any]], start: int = 0) -> NDArray[np.uint8]:
    return np.asarray(sampler([_noise(sampler, count, start), labels.astype(np.int64)], training=False))


def _noise(sampler: keras.Model, count: int, start: int = 0) -> NDArray[np.float32]:
    """Rows ``start`` and following of the same endless sheet of normal noise."""
    sheet = np.random.default_rng(0).standard_normal((start + count, sampler.inputs[0].shape[1]), np.float32)
    return sheet[start:]


def _assert_grey(found: NDArray[np.uint8], expected: NDArray[np.uint8], where: str) -> None:
    np.testing.assert_allclose(
        found.astype(np.float64), expected.astype(np.float64), rtol=0, atol=GREY_TOLERANCE, err_msg=where
    )


CHECKS: tuple[Check, ...] = (
    check_parts_and_sampler,
    check_same_seed_same_weights,
    check_label_matters,
    check_noise_matters,
    check_sampler_is_deterministic,
    check_onnx_equals_keras,
    check_training_step_moves_every_part,
    check_weights_survive_saving,
)
