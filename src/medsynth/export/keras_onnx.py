"""A Keras model as an ONNX graph with the names of the contract.

``tf2onnx.convert.from_keras`` fails on Keras 3's Sequential models and ``model.export`` names its outputs
``Identity:0``; a ``tf.function`` that returns a dict keeps the names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import onnx
import tensorflow as tf
import tf2onnx
from onnx import numpy_helper

from medsynth.export.graph import tidy

if TYPE_CHECKING:
    import keras

    from medsynth.train.calibrate import Calibration

__all__ = ["OPSET", "classifier_to_onnx", "sampler_to_onnx"]

OPSET = 18
"""The highest that tf2onnx 1.17 writes; onnxruntime serves it from version 1.15 on."""

_CLASSIFIER_OUTPUTS = ("logits", "probabilities", "features", "activations")


def classifier_to_onnx(model: keras.Model, calibration: Calibration | None = None) -> onnx.ModelProto:
    """Convert what :meth:`medsynth.plugins.Backbone.build` returns.

    Args:
        model: From uint8 images (batch, height, width, channels) to a dict of outputs.
        calibration: Of the ``probabilities``, which become part of the graph; ``None``: the model's own.

    Returns:
        Input ``images``; outputs ``logits``, ``probabilities``, ``features`` and, where the model has them,
        ``activations``.
    """

    def outputs(images: Any) -> dict[str, Any]:
        found = dict(model(images, training=False))
        if calibration is not None:
            bias = tf.constant(calibration.bias, tf.float32)
            found["probabilities"] = tf.nn.softmax(found["logits"] * (1.0 / calibration.temperature) + bias)
        return {name: found[name] for name in _CLASSIFIER_OUTPUTS if name in found}

    shape = tuple(model.inputs[0].shape[1:])
    return _convert(outputs, {"images": tf.TensorSpec((None, *shape), tf.uint8)})


def sampler_to_onnx(sampler: keras.Model) -> onnx.ModelProto:
    """Convert what :meth:`medsynth.plugins.Generator.sampler` returns.

    Args:
        sampler: From noise float32 (batch, latent) and label int64 (batch,) to uint8 images.

    Returns:
        Inputs ``noise`` and ``label``; output ``images``.
    """
    latent = sampler.inputs[0].shape[1]
    signature = {"noise": tf.TensorSpec((None, latent), tf.float32), "label": tf.TensorSpec((None,), tf.int64)}
    return _convert(lambda noise, label: {"images": sampler([noise, label], training=False)}, signature)


def _convert(function: Callable[..., Mapping[str, Any]], signature: Mapping[str, tf.TensorSpec]) -> onnx.ModelProto:
    names = list(signature)
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in signature.items()]
    # tf2onnx tells every step of its work at level INFO, and warns of what concerns other opsets.
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    traced = tf.function(lambda *tensors: function(**dict(zip(names, tensors, strict=True))))
    model: onnx.ModelProto
    model, _ = tf2onnx.convert.from_function(traced, input_signature=specs, opset=OPSET)
    _embed_captures(model.graph, traced.get_concrete_function(*specs).graph.captures)
    tidy(model.graph, (*_CLASSIFIER_OUTPUTS, "images"))
    model.producer_name, model.producer_version = "medsynth", ""
    return model


def _embed_captures(graph: onnx.GraphProto, captures: Iterable[tuple[Any, Any]]) -> None:
    """Make constants of tensors that were made while the network was built; tf2onnx makes them inputs.

    Keras' own ``Normalization`` layer keeps its mean and variance so.
    """
    values = {inside.name: outside for outside, inside in captures if outside.dtype != tf.resource}
    for value in [value for value in graph.input if value.name in values]:
        graph.initializer.append(numpy_helper.from_array(values[value.name].numpy(), value.name))
        graph.input.remove(value)
