"""Linear models as artefacts: good enough to be evaluated, made in a second, without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression

from medsynth.artifact import Metadata, write
from medsynth.images import ImageSpec

if TYPE_CHECKING:
    from medsynth.dataset import Dataset

LATENT = 12


def write_classifier(data: Dataset, path: Path, *, size: int = 12, threshold: float | None = None, **changes) -> Path:
    """Logistic regression on the pixels of the training part."""
    spec = ImageSpec(height=size, width=size, channels=1)
    train, validation = (data.part(part).decode(spec) for part in ("train", "validation"))
    fit = LogisticRegression(C=0.02, max_iter=500).fit(train.images.reshape(len(train), -1) / 255, train.labels)
    weights, bias = fit.coef_.T, fit.intercept_
    if len(data.classes) == 2:
        weights, bias = np.column_stack([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    right = fit.score(validation.images.reshape(len(validation), -1) / 255, validation.labels)
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"]),
        helper.make_node("Mul", ["flat", "scale"], ["features"]),
        helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    constants = {"scale": np.float32(1 / 255), "weights": weights, "bias": bias}
    classes = len(data.classes)
    outputs = {"logits": classes, "probabilities": classes, "features": size * size}
    model = _model(
        nodes,
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *spec.shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n]) for name, n in outputs.items()],
        constants,
    )
    validation_metrics = {"accuracy": float(right)}
    write(
        model, _metadata("classifier", data, spec, threshold=threshold, validation=validation_metrics, **changes), path
    )
    return path


def write_generator(data: Dataset, path: Path, *, size: int = 16, **changes) -> Path:
    """Mean image of each class plus principal components times noise."""
    spec = ImageSpec(height=size, width=size, channels=1)
    train = data.part("train").decode(spec)
    pixels = train.images.reshape(len(train), -1).astype(float)
    means = np.stack([pixels[train.labels == index].mean(axis=0) for index in range(len(data.classes))])
    _, scales, axes = np.linalg.svd(pixels - means[train.labels], full_matrices=False)
    components = axes[:LATENT] * scales[:LATENT, None] / np.sqrt(len(pixels))
    nodes = [
        helper.make_node("Gather", ["means", "label"], ["mean"]),
        helper.make_node("MatMul", ["noise", "components"], ["deviation"]),
        helper.make_node("Add", ["mean", "deviation"], ["sum"]),
        helper.make_node("Clip", ["sum", "black", "white"], ["clipped"]),
        helper.make_node("Round", ["clipped"], ["rounded"]),
        helper.make_node("Reshape", ["rounded", "shape"], ["shaped"]),
        helper.make_node("Cast", ["shaped"], ["images"], to=TensorProto.UINT8),
    ]
    constants = {
        "means": means,
        "components": components,
        "black": np.float32(0),
        "white": np.float32(255),
        "shape": np.array([-1, *spec.shape]),
    }
    model = _model(
        nodes,
        [
            helper.make_tensor_value_info("noise", TensorProto.FLOAT, ["batch", LATENT]),
            helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
        ],
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *spec.shape])],
        constants,
    )
    write(model, _metadata("generator", data, spec, **changes), path)
    return path


def _metadata(task, data, spec, **changes):
    fields = {
        "task": task,
        "classes": data.classes,
        "positive": data.positive,
        "image": spec,
        "plugin": {"name": "linear", "distribution": "tests", "version": "1", "options": {}},
        "data": {"source": data.source, "fingerprint": data.fingerprint, "counts": {}},
        "training": {"seed": 0},
        "validation": {},
        "intended_use": "Testing.",
        "versions": {"medsynth-core": "0.1.0"},
    }
    return Metadata(**{**fields, **changes})


def _model(nodes, inputs, outputs, constants):
    initialisers = []
    for name, value in constants.items():
        array = np.asarray(value)
        initialisers.append(
            numpy_helper.from_array(array.astype(np.float32) if array.dtype.kind == "f" else array, name)
        )
    graph = helper.make_graph(nodes, "linear", inputs, outputs, initialisers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
