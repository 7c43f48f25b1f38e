"""Small ONNX graphs that keep the artefact's contract, so that these tests need no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from medsynth.artifact import Metadata, write
from medsynth.images import ImageSpec

CLASSES = ("clear", "opacity")
SPEC = ImageSpec(height=12, width=16, channels=3)
LATENT = 10


def classifier_model(classes: int = 2, spec: ImageSpec = SPEC, seed: int = 0) -> onnx.ModelProto:
    """uint8 images -> logits, probabilities, features: scale, 3x3 convolution, ReLU, mean, dense, softmax."""
    random = np.random.default_rng(seed)
    kernel = random.normal(size=(8, spec.channels, 3, 3)).astype(np.float32)
    dense = (0.5 * random.normal(size=(8, classes))).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "kernel"], ["maps"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["maps"], ["positive"]),
        helper.make_node("ReduceMean", ["positive", "axes"], ["features"], keepdims=0),
        helper.make_node("MatMul", ["features", "dense"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    constants = {"scale": np.float32(1 / 255), "kernel": kernel, "axes": np.array([2, 3]), "dense": dense}
    return _model(
        nodes,
        {"images": (TensorProto.UINT8, ["batch", *spec.shape])},
        {
            "logits": (TensorProto.FLOAT, ["batch", classes]),
            "probabilities": (TensorProto.FLOAT, ["batch", classes]),
            "features": (TensorProto.FLOAT, ["batch", 8]),
        },
        constants,
    )


def generator_model(classes: int = 2, spec: ImageSpec = SPEC, latent: int = LATENT, seed: int = 0) -> onnx.ModelProto:
    """Noise and label -> uint8 images: embedding, dense, sigmoid, round."""
    random = np.random.default_rng(seed)
    pixels = spec.height * spec.width * spec.channels
    nodes = [
        helper.make_node("Gather", ["embedding", "label"], ["embedded"]),
        helper.make_node("Add", ["noise", "embedded"], ["mixed"]),
        helper.make_node("MatMul", ["mixed", "dense"], ["raw"]),
        helper.make_node("Sigmoid", ["raw"], ["unit"]),
        helper.make_node("Mul", ["unit", "white"], ["grey"]),
        helper.make_node("Round", ["grey"], ["rounded"]),
        helper.make_node("Reshape", ["rounded", "shape"], ["shaped"]),
        helper.make_node("Cast", ["shaped"], ["images"], to=TensorProto.UINT8),
    ]
    constants = {
        "embedding": (3 * random.normal(size=(classes, latent))).astype(np.float32),
        "dense": (random.normal(size=(latent, pixels)) / latent).astype(np.float32),
        "white": np.float32(255),
        "shape": np.array([-1, *spec.shape]),
    }
    return _model(
        nodes,
        {"noise": (TensorProto.FLOAT, ["batch", latent]), "label": (TensorProto.INT64, ["batch"])},
        {"images": (TensorProto.UINT8, ["batch", *spec.shape])},
        constants,
    )


def metadata(task: str, classes: tuple[str, ...] = CLASSES, spec: ImageSpec = SPEC, **changes: Any) -> Metadata:
    """Metadata as export writes them."""
    fields: dict[str, Any] = {
        "task": task,
        "classes": classes,
        "positive": classes[-1],
        "image": spec,
        "plugin": {"name": "tiny", "distribution": "tests", "version": "1", "options": {"width": 8}},
        "data": {"source": "phantom", "fingerprint": "0" * 64, "counts": dict.fromkeys(classes, 3)},
        "training": {"seed": 0},
        "validation": {"auc": 0.5},
        "intended_use": "Testing and/or nothing else.",
        "versions": {"medsynth-core": "0.1.0"},
    }
    return Metadata(**{**fields, **changes})


def classifier_file(
    path: Path, classes: tuple[str, ...] = CLASSES, spec: ImageSpec = SPEC, seed: int = 0, **changes: Any
) -> Path:
    """An artefact on disk."""
    write(classifier_model(len(classes), spec, seed), metadata("classifier", classes, spec, **changes), path)
    return path


def generator_file(
    path: Path, classes: tuple[str, ...] = CLASSES, spec: ImageSpec = SPEC, seed: int = 0, **changes: Any
) -> Path:
    """An artefact on disk."""
    write(generator_model(len(classes), spec, seed=seed), metadata("generator", classes, spec, **changes), path)
    return path


def _model(nodes: list[Any], inputs: Any, outputs: Any, constants: dict[str, Any]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, *rest) for name, rest in inputs.items()],
        [helper.make_tensor_value_info(name, *rest) for name, rest in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model
