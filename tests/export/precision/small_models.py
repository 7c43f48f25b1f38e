"""Small convolutional graphs as tf2onnx writes them, so that these tests need no TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from medsynth.artifact import Metadata, write
from medsynth.export.precision.graph import open_session
from medsynth.images import ImageSpec

SPEC = ImageSpec(height=32, width=32, channels=1)
MEAN = np.array([103.939, 116.779, 123.68], np.float32)


def classifier(spec: ImageSpec = SPEC, classes: int = 2, seed: int = 0, width: int = 8) -> onnx.ModelProto:
    """Two blocks of convolutions behind grey replication and mean subtraction, pooled, dense."""
    random = np.random.default_rng(seed)

    def kernel(to: int, of: int) -> Any:
        return (random.normal(size=(to, of, 3, 3)) * np.sqrt(2 / (9 * of))).astype(np.float32)

    first = ["float", "float", "float"] if spec.channels == 1 else None
    nodes = [helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT)]
    if first:
        nodes.append(helper.make_node("Concat", first, ["colour"], axis=3))
    else:
        nodes.append(helper.make_node("Gather", ["float", "bgr"], ["colour"], axis=3))
    pads = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    nodes += [
        helper.make_node("Sub", ["colour", "mean"], ["centred"]),
        helper.make_node("Transpose", ["centred"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "k1", "b1"], ["c1"], name="conv1", **pads),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "k2", "b2"], ["c2"], name="conv2", **pads),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("MaxPool", ["r2"], ["p2"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p2", "k3"], ["c3"], name="conv3", **pads),
        helper.make_node("BatchNormalization", ["c3", "scale", "b2", "b1", "scale"], ["n3"], name="norm3"),
        helper.make_node("Relu", ["n3"], ["r3"]),
        helper.make_node("Add", ["r3", "p2"], ["sum"], name="skip"),
        helper.make_node("Transpose", ["sum"], ["activations"], perm=[0, 2, 3, 1]),
        helper.make_node("ReduceMean", ["activations", "axes"], ["features"], keepdims=0),
        helper.make_node("MatMul", ["features", "dense"], ["products"], name="head"),
        helper.make_node("Add", ["products", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    constants = {
        "mean": MEAN,
        "bgr": np.array([2, 1, 0]),
        "k1": kernel(width, 3) / 60,
        "b1": random.normal(size=width).astype(np.float32) / 10,
        "k2": kernel(width, width),
        "b2": random.normal(size=width).astype(np.float32) / 10,
        "k3": kernel(width, width),
        "scale": random.uniform(0.5, 1.5, width).astype(np.float32),
        "axes": np.array([1, 2]),
        "dense": random.normal(size=(width, classes)).astype(np.float32),
        "bias": np.zeros(classes, np.float32),
    }
    half, across = spec.height // 2, spec.width // 2
    return _model(
        nodes,
        {"images": (TensorProto.UINT8, ["batch", *spec.shape])},
        {
            "logits": (TensorProto.FLOAT, ["batch", classes]),
            "probabilities": (TensorProto.FLOAT, ["batch", classes]),
            "features": (TensorProto.FLOAT, ["batch", width]),
            "activations": (TensorProto.FLOAT, ["batch", half, across, width]),
        },
        constants,
    )


def generator(
    latent: int = 12, classes: int = 2, seed: int = 0, kernel: int = 4, pads: tuple[int, ...] = (1, 1, 1, 1)
) -> onnx.ModelProto:
    """Dense, transposed convolution, bias, ReLU, convolution, tanh, grey levels; 16x16."""
    random = np.random.default_rng(seed)
    extra = [2 - kernel + pads[0] + pads[2]] * 2
    nodes = [
        helper.make_node("Gather", ["embedding", "label"], ["embedded"]),
        helper.make_node("Mul", ["noise", "embedded"], ["mixed"]),
        helper.make_node("Gemm", ["mixed", "dense", "shift"], ["d"], name="dense"),
        helper.make_node("Relu", ["d"], ["rd"]),
        helper.make_node("Reshape", ["rd", "shape"], ["maps"]),
        helper.make_node(
            "ConvTranspose", ["maps", "up"], ["u"], name="up", strides=[2, 2], pads=list(pads),
            kernel_shape=[kernel, kernel], output_padding=extra,
        ),
        helper.make_node("Add", ["u", "ub"], ["ua"]),
        helper.make_node("Relu", ["ua"], ["ur"]),
        helper.make_node("Conv", ["ur", "k"], ["c"], name="last", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        helper.make_node("Tanh", ["c"], ["t"]),
        helper.make_node("Transpose", ["t"], ["nhwc"], perm=[0, 2, 3, 1]),
        helper.make_node("Mul", ["nhwc", "half"], ["m"]),
        helper.make_node("Add", ["m", "half"], ["g"]),
        helper.make_node("Round", ["g"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["images"], to=TensorProto.UINT8),
    ]  # fmt: skip
    constants = {
        "embedding": random.normal(size=(classes, latent)).astype(np.float32),
        "dense": (random.normal(size=(latent, 96 * 64)) / latent).astype(np.float32),
        "shift": random.normal(size=96 * 64).astype(np.float32) / 10,
        "shape": np.array([-1, 96, 8, 8]),
        "up": (random.normal(size=(96, 5, kernel, kernel)) / 10).astype(np.float32),
        "ub": (random.normal(size=(1, 5, 1, 1)) / 10).astype(np.float32),
        "k": (random.normal(size=(1, 5, 3, 3)) / 5).astype(np.float32),
        "half": np.float32(127.5),
    }
    return _model(
        nodes,
        {"noise": (TensorProto.FLOAT, ["batch", latent]), "label": (TensorProto.INT64, ["batch"])},
        {"images": (TensorProto.UINT8, ["batch", 16, 16, 1])},
        constants,
    )


def metadata(task: str, spec: ImageSpec, **changes: Any) -> Metadata:
    """Metadata as export writes them."""
    fields: dict[str, Any] = {
        "task": task,
        "classes": ("clear", "opacity"),
        "positive": "opacity",
        "image": spec,
        "plugin": {"name": "small", "distribution": "tests", "version": "1", "options": {}},
        "data": {"source": "phantom", "fingerprint": "0" * 64, "counts": {}},
        "training": {"seed": 0},
        "validation": {"auc": 0.5},
        "intended_use": "Testing.",
        "versions": {"medsynth-core": "0.1.0"},
        "threshold": 0.5 if task == "classifier" else None,
    }
    return Metadata(**{**fields, **changes})


def fit_head(model: onnx.ModelProto, images: Any, labels: Any) -> None:
    """Give a classifier's last layer the weights of a ridge regression on its features."""
    features = open_session(model).run(["features"], {"images": images})[0].astype(np.float64)
    centre, spread = features.mean(0), features.std(0) + 1e-6
    x = (features - centre) / spread
    target = np.where(np.asarray(labels)[:, None] == np.arange(2), 2.0, -2.0)
    solved = np.linalg.solve(x.T @ x + 0.1 * np.eye(x.shape[1]), x.T @ target)
    weights = solved / spread[:, None]
    values = {"dense": weights, "bias": -centre @ weights}
    for tensor in model.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(values[tensor.name].astype(np.float32), tensor.name))


def write_file(model: onnx.ModelProto, task: str, spec: ImageSpec, path: Any, **changes: Any) -> Any:
    """An artefact on disk."""
    write(model, metadata(task, spec, **changes), path)
    return path


def _model(nodes: list[Any], inputs: Any, outputs: Any, constants: dict[str, Any]) -> onnx.ModelProto:
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, *rest) for name, rest in inputs.items()],
        [helper.make_tensor_value_info(name, *rest) for name, rest in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model
