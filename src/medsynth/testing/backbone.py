"""Checks of backbones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from medsynth.export.keras_onnx import classifier_to_onnx
from medsynth.export.parity import PROBABILITY_TOLERANCE
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

_RANKS = {"logits": 2, "probabilities": 2, "features": 2, "activations": 4}


def check_inputs_and_outputs(subject: Subject) -> None:
    """At 1 and 3 channels: uint8 images in; a dict of float32 ``logits``, ``probabilities``, ``features`` out."""
    for channels in (1, 3):
        _, model = build(subject, channels)
        require(len(model.inputs) == 1, f"the model must have one input. Got {len(model.inputs)}.")
        taken = (keras.backend.standardize_dtype(model.inputs[0].dtype), tuple(model.inputs[0].shape))
        wanted = ("uint8", (None, SIZE, SIZE, channels))
        require(taken == wanted, f"the input must be {wanted}. Got {taken}.")
        outputs = model.output
        require(isinstance(outputs, dict), f"the outputs must be a dict. Got {type(outputs).__name__}.")
        missing = {"logits", "probabilities", "features"} - set(outputs)
        require(not missing, f"the outputs lack {sorted(missing)}. Got {sorted(outputs)}.")
        unknown = set(outputs) - set(_RANKS)
        require(not unknown, f"the outputs may only be {sorted(_RANKS)}. Got also {sorted(unknown)}.")
        found = _predict(model, images(2, channels))
        for name, array in found.items():
            require(array.dtype == np.float32, f"{name} must be float32. Got {array.dtype}.")
            require(
                array.ndim == _RANKS[name] and len(array) == 2,
                f"{name} must have {_RANKS[name]} axes, the batch first. Got {array.shape} for 2 images.",
            )
            require(bool(np.isfinite(array).all()), f"{name} must be finite")
        for name in ("logits", "probabilities"):
            require(
                found[name].shape == (2, CLASSES),
                f"{name} must be {(2, CLASSES)} for 2 images and {CLASSES} classes. Got {found[name].shape}.",
            )


def check_probabilities_are_the_softmax_of_logits(subject: Subject) -> None:
    """``probabilities`` = softmax(``logits``)."""
    _, model = build(subject)
    shake(model)
    found = _predict(model, images(4, 1))
    powers = np.exp(found["logits"] - found["logits"].max(axis=1, keepdims=True), dtype=np.float64)
    np.testing.assert_allclose(found["probabilities"], powers / powers.sum(axis=1, keepdims=True), atol=1e-5)


def check_same_seed_same_weights(subject: Subject) -> None:
    """Weights depend only on the seed and the options."""
    _, first = build(subject, seed=7)
    _, second = build(subject, seed=7)
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def check_training_step_moves_weights(subject: Subject) -> None:
    """One step of cross-entropy on ``logits`` has a finite loss and moves trainable weights."""
    _, model = build(subject, 3)
    inputs = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    trainer = keras.Model(inputs, model(inputs)["logits"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, jit_compile=False)
    before = [keras.ops.convert_to_numpy(variable) for variable in trainer.trainable_variables]
    require(bool(before), "the model must have trainable weights")
    value = float(trainer.train_on_batch(images(2 * CLASSES, 3), np.arange(2 * CLASSES) % CLASSES))
    require(math.isfinite(value), f"the loss of one training step must be finite. Got {value}.")
    require(moved(before, trainer), "one training step must move the weights")


def check_weights_survive_saving(subject: Subject) -> None:
    """A second build, filled with stored weights, gives the same outputs."""
    _, model = build(subject, seed=1)
    shake(model)
    _, restored = build(subject, seed=2)
    copy_through_a_file(model, restored)
    batch = images(2, 1)
    expected, found = _predict(model, batch), _predict(restored, batch)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-6, err_msg=name)


def check_onnx_equals_keras(subject: Subject) -> None:
    """The exported graph gives every output as Keras does, at batch 1 and 3."""
    for channels in (1, 3):
        _, model = build(subject, channels)
        shake(model)
        graph = classifier_to_onnx(model)
        for count in (1, 3):
            batch = images(count, channels)
            _assert_close(run_onnx(graph, {"images": batch}), _predict(model, batch), f"batch {count}")


def check_rows_do_not_depend_on_their_batch(subject: Subject) -> None:
    """An image gives the same outputs alone and among others."""
    _, model = build(subject)
    shake(model)
    batch = images(3, 1)
    together = _predict(model, batch)
    for row in range(3):
        alone = _predict(model, batch[row : row + 1])
        _assert_close(alone, {name: array[row : row + 1] for name, array in together.items()}, f"row {row}")


def check_freeze_points_are_layers(subject: Subject) -> None:
    """Every freeze point names a layer whose output can be cached."""
    plugin, model = build(subject)
    for name in plugin.freeze_points(model):
        require(any(layer.name == name for layer in model.layers), f"freeze point '{name}' is no layer of the model")
        trunk = keras.Model(model.input, model.get_layer(name).output)
        require(len(np.asarray(trunk(images(2, 1)))) == 2, f"the output at freeze point '{name}' must be one tensor")


def _predict(model: keras.Model, batch: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    return {name: np.asarray(value) for name, value in model(batch, training=False).items()}


def _assert_close(found: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]], where: str) -> None:
    for name, array in expected.items():
        relative = 0.0 if name == "probabilities" else 1e-3
        scale = PROBABILITY_TOLERANCE * (1.0 if name == "probabilities" else max(1.0, float(np.abs(array).max())))
        np.testing.assert_allclose(found[name], array, rtol=relative, atol=scale, err_msg=f"{name}, {where}")


CHECKS: tuple[Check, ...] = (
    check_inputs_and_outputs,
    check_probabilities_are_the_softmax_of_logits,
    check_same_seed_same_weights,
    check_training_step_moves_weights,
    check_weights_survive_saving,
    check_onnx_equals_keras,
    check_rows_do_not_depend_on_their_batch,
    check_freeze_points_are_layers,
)
