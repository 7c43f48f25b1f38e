"""The weights of a VGG16 artefact, for engines that do not read ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

EXPECTED = {"Cast", "Concat", "Sub", "Transpose", "Reshape", "Conv", "Relu", "MaxPool", "ReduceMean", "MatMul"}
EXPECTED |= {"Add", "Softmax"}


@dataclass(frozen=True, eq=False)
class Network:
    """What a plain VGG16 with global average pooling is made of.

    Attributes:
        mean: What is subtracted from each of the three channels, grey levels.
        convolutions: Kernel (out, in, 3, 3), bias (out,), and whether 2x2 pooling follows.
        kernel: Of the dense layer, (features, classes).
        bias: Of the dense layer.
    """

    mean: np.ndarray
    convolutions: list[tuple[np.ndarray, np.ndarray, bool]]
    kernel: np.ndarray
    bias: np.ndarray


def read_network(path: Path) -> Network:
    """Read an fp32 artefact; other architectures than VGG16 with the head ``gap`` are refused."""
    graph = onnx.load(path).graph
    unknown = ", ".join(sorted({node.op_type for node in graph.node} - EXPECTED))
    if unknown:
        raise ValueError(f"{path.name} must be a grey VGG16 with the head gap for this comparison. It has {unknown}.")
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    convolutions: list[tuple[np.ndarray, np.ndarray, bool]] = []
    mean, kernel, bias = np.zeros(3, np.float32), np.zeros((0, 0), np.float32), None
    for node in graph.node:
        if node.op_type == "Sub":
            mean = values[node.input[1]].reshape(-1)
        elif node.op_type == "Conv":
            weights = values[node.input[1]]
            shift = values[node.input[2]] if len(node.input) > 2 else np.zeros(len(weights), np.float32)
            convolutions.append((weights, shift, False))
        elif node.op_type == "MaxPool":
            convolutions[-1] = (*convolutions[-1][:2], True)
        elif node.op_type == "MatMul":
            kernel = values[node.input[1]]
        elif node.op_type == "Add":
            bias = next(values[name] for name in node.input if name in values).reshape(-1)
    return Network(mean, convolutions, kernel, np.zeros(kernel.shape[1], np.float32) if bias is None else bias)


def with_float_input(path: Path) -> bytes:
    """The model as other tools export it: ``pixels`` float32 (batch, 3, height, width) in, only probabilities out."""
    model = onnx.load(path)
    graph = model.graph
    shape = [axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim[1:3]]
    first = next(index for index, node in enumerate(graph.node) if node.op_type == "Conv")
    graph.node[first].input[0] = "pixels"
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node[first:]]
    outputs = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in graph.output]
    used = {name for node in nodes for name in node.input}
    kept = [numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name) for tensor in graph.initializer
            if tensor.name in used]  # fmt: skip
    cut = helper.make_graph(
        nodes,
        "vgg16",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, *shape])],
        [value for value in outputs if value.name == "probabilities"],
        kept,
    )
    cut_model = helper.make_model(cut, opset_imports=model.opset_import, ir_version=model.ir_version)
    return bytes(cut_model.SerializeToString())


def to_float(images: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Grey uint8 (n, h, w, 1) as the float32 (n, 3, h, w) that the first convolution reads."""
    return np.ascontiguousarray((images.astype(np.float32) - mean).transpose(0, 3, 1, 2))
