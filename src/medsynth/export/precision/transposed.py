"""Transposed convolutions as convolutions: onnxruntime has integer kernels only for the latter.

With stride s every s-th output pixel meets the same taps: output pixel s q + a is the sum over d of
x[q - d] w[s d + a + p], p the padding at the start. So the s x s phases (a, b) are plain convolutions of x, computed
as one with s x s times the channels, and ``DepthToSpace`` weaves them together. The function is exactly the same.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from medsynth.export.precision.graph import Wires, attribute, constant, copy_model, drop_unused

__all__ = ["convolve_instead"]


def convolve_instead(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite every transposed convolution that enlarges by exactly its stride; a bias added after it moves inside.

    Args:
        model: Simplified: every node has a name.
    """
    rewritten = copy_model(model)
    graph = rewritten.graph
    wires = Wires(graph)
    nodes: list[onnx.NodeProto] = []
    gone: set[str] = set()
    for node in graph.node:
        if node.name in gone:
            continue
        if node.op_type == "ConvTranspose" and _rewritable(node, wires):
            nodes.extend(_rewrite(graph, node, wires, gone))
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unused(graph)
    return rewritten


def _rewritable(node: onnx.NodeProto, wires: Wires) -> bool:
    if any(name not in wires.constants for name in node.input[1:]):
        return False
    weights = wires.constants[node.input[1]]
    strides, pads = attribute(node, "strides", [1, 1]), attribute(node, "pads", [0, 0, 0, 0])
    extra = attribute(node, "output_padding", [0, 0])
    plain = attribute(node, "group", 1) == 1 and set(attribute(node, "dilations", [1])) == {1}
    explicit = attribute(node, "auto_pad", b"NOTSET") == b"NOTSET" and not attribute(node, "output_shape", [])
    if len(weights.dims) != 4 or not plain or not explicit or strides[0] != strides[1] or strides[0] < 2:
        return False
    sizes = weights.dims[2:]
    return all(sizes[axis] - pads[axis] - pads[axis + 2] + extra[axis] == strides[axis] for axis in (0, 1))


def _rewrite(graph: onnx.GraphProto, node: onnx.NodeProto, wires: Wires, gone: set[str]) -> list[onnx.NodeProto]:
    weights = wires.value(node.input[1])  # (in, out, height, width)
    stride = attribute(node, "strides", [1, 1])[0]
    start = attribute(node, "pads", [0, 0, 0, 0])[:2]
    bias = np.zeros(weights.shape[1], np.float32)
    if len(node.input) > 2 and node.input[2]:
        bias = wires.value(node.input[2])
    last = node
    adder = wires.only_consumer(node.output[0])
    added = _channel_bias(adder, node.output[0], weights.shape[1], wires) if adder is not None else None
    if adder is not None and added is not None:
        bias, last = bias + added, adder
        gone.add(adder.name)
    positive = wires.only_consumer(last.output[0])
    relu = positive is not None and positive.op_type == "Relu"
    if positive is not None and relu:
        last = positive
        gone.add(positive.name)
    # Rows q - d that any phase reads: the convolution's taps and pads.
    reach = [[d for d in range(-size, size + 1) if any(0 <= stride * d + a + p < size for a in range(stride))]
             for size, p in zip(weights.shape[2:], start, strict=True)]  # fmt: skip
    taps = [max(offsets) - min(offsets) + 1 for offsets in reach]
    kernel = np.zeros((weights.shape[1], stride, stride, weights.shape[0], *taps), np.float32)
    for a, b in np.ndindex(stride, stride):
        for row, column in np.ndindex(*taps):
            y, x = (stride * (max(reach[axis]) - tap) + phase + start[axis]
                    for axis, (tap, phase) in enumerate(((row, a), (column, b))))  # fmt: skip
            if 0 <= y < weights.shape[2] and 0 <= x < weights.shape[3]:
                kernel[:, a, b, :, row, column] = weights[:, :, y, x].T
    name = node.name
    graph.initializer.append(constant(f"{name}/kernel", kernel.reshape(-1, weights.shape[0], *taps)))
    graph.initializer.append(constant(f"{name}/shift", np.repeat(bias, stride * stride).astype(np.float32)))
    pads = [max(offsets) for offsets in reach] + [-min(offsets) for offsets in reach]
    nodes = [
        helper.make_node(
            "Conv", [node.input[0], f"{name}/kernel", f"{name}/shift"], [f"{name}/phases"], name=name, pads=pads,
            kernel_shape=taps,
        )
    ]  # fmt: skip
    if relu:
        nodes.append(helper.make_node("Relu", [f"{name}/phases"], [f"{name}/positive"], name=f"{name}/relu"))
    nodes.append(
        helper.make_node(
            "DepthToSpace", [nodes[-1].output[0]], [last.output[0]], name=f"{name}/weave", blocksize=stride, mode="CRD"
        )
    )
    return nodes


def _channel_bias(adder: onnx.NodeProto, source: str, channels: int, wires: Wires) -> np.ndarray | None:
    """The constant that an ``Add`` adds to each channel of a tensor (batch, channel, height, width)."""
    other = [name for name in adder.input if name != source]
    if adder.op_type != "Add" or len(other) != 1 or other[0] not in wires.constants:
        return None
    value = wires.value(other[0])
    padded = (1,) * (4 - value.ndim) + value.shape
    if len(padded) != 4 or padded[0] != 1 or padded[1] not in {1, channels} or padded[2:] != (1, 1):
        return None
    return np.broadcast_to(value.reshape(-1), (channels,))
