"""Static int8: quantiser and dequantiser (QDQ) around what integer kernels can run.

The choice of quantisers is the one that x86 processors with VNNI multiply fastest: unsigned activations with one scale
and zero point, signed weights with a scale for each output channel and zero point 0, int32 biases. Where activations
pass a ReLU their zero point is 0, so the ReLU is the quantiser's own lower bound and leaves the graph.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper

from medsynth.export.precision.graph import LAYER_OPS, Wires, attribute, constant, copy_model, drop_unused
from medsynth.export.precision.pixels import PIXELS, PIXELS_FLOAT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.export.precision.calibrate import Spread

__all__ = ["quantised_tensors", "to_int8", "worth_quantising"]

_SAME_GRID = frozenset({"MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"})
"""Operators that move or choose values: their output has the quantiser of their input, and no error of its own."""

_OWN_GRID = frozenset({"Add", "Concat", "AveragePool", "LeakyRelu"})
"""Operators with integer kernels whose results lie elsewhere than their inputs."""

_SATURATING = frozenset({"Tanh", "Sigmoid", "HardSigmoid", "Softmax"})
"""What they read has a long range and matters near zero: eight bits would show as steps of ten grey levels."""

_SMALL_DENSE = 1 << 16
"""Dense layers with fewer weights stay in float32: there is no time to win, and the logits are near."""

_ACTIVATION_LEVELS = 255
_WEIGHT_LEVELS = 127
_BIAS_LIMIT = float(2**30)


def worth_quantising(node: onnx.NodeProto, wires: Wires) -> bool:
    """Whether a layer has an integer kernel, constant weights, enough of them, and a result that 8 bits can hold."""
    if node.op_type not in LAYER_OPS - {"ConvTranspose"} or len(node.input) < 2 or node.input[1] not in wires.constants:
        return False
    readers = wires.consumers.get(node.output[0], [])
    if any(reader.op_type in _SATURATING for reader in readers):
        return False
    if node.op_type == "Conv":
        return True
    weights = wires.constants[node.input[1]]
    if len(weights.dims) != 2 or int(np.prod(weights.dims)) < _SMALL_DENSE:
        return False
    plain = node.op_type == "MatMul" or not (attribute(node, "transA", 0) or attribute(node, "alpha", 1.0) != 1.0)
    return plain and (node.op_type == "MatMul" or attribute(node, "beta", 1.0) == 1.0)


def quantised_tensors(model: onnx.ModelProto, keep: Collection[str] = ()) -> dict[str, str]:
    """Tensors that get a quantiser, and whose quantiser each uses (its own, or that of another tensor).

    Args:
        model: Simplified.
        keep: Names of layers that stay in float32.
    """
    wires = Wires(model.graph)
    grids: dict[str, str] = {}
    for node in model.graph.node:
        activations = wires.activations(node)
        if worth_quantising(node, wires) and node.name not in keep:
            grids.setdefault(activations[0], activations[0])
            grids.setdefault(_behind_relu(node, wires), _behind_relu(node, wires))
        elif node.op_type in _SAME_GRID and len(activations) == 1 and activations[0] in grids:
            grids.setdefault(node.output[0], grids[activations[0]])
        elif node.op_type in _OWN_GRID and all(name in grids for name in node.input if name):
            grids.setdefault(_behind_relu(node, wires), _behind_relu(node, wires))
    return grids


def to_int8(model: onnx.ModelProto, spreads: Mapping[str, Spread], keep: Collection[str] = ()) -> onnx.ModelProto:
    """Quantise a float32 model.

    Args:
        model: Simplified, pixel arithmetic folded.
        spreads: Of every tensor of :func:`quantised_tensors`.
        keep: Names of layers that stay in float32.

    Returns:
        A QDQ model with the same inputs and outputs.
    """
    grids = quantised_tensors(model, keep)
    quantised = copy_model(model)
    _shield(quantised.graph, keep)
    writer = _Writer(quantised.graph, grids, spreads)
    writer.write(keep)
    return quantised


def _shield(graph: onnx.GraphProto, keep: Collection[str]) -> None:
    """Keep onnxruntime from quantising the layers that shall stay in float32.

    Its transformer WeightBiasQuantization rounds the weights, with one scale for all channels, of every layer between
    a dequantiser and a quantiser, ReLUs and poolings apart. A leaky ReLU of slope 0 is a ReLU, one of slope 1 does
    nothing, both are fused into the layer, and neither is taken for one.
    """
    wires = Wires(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        if node.name not in keep:
            continue
        name = node.output[0]
        reader = wires.only_consumer(name)
        if reader is not None and reader.op_type == "Relu":
            reader.op_type = "LeakyRelu"
            reader.attribute.append(helper.make_attribute("alpha", 0.0))
        else:
            node.output[0] = f"{name}/kept"
            nodes.append(helper.make_node("LeakyRelu", [node.output[0]], [name], name=f"{name}/shield", alpha=1.0))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)


def _behind_relu(node: onnx.NodeProto, wires: Wires) -> str:
    """Output of a node, or of the ReLU that alone reads it."""
    reader = wires.only_consumer(node.output[0])
    last = reader if reader is not None and reader.op_type == "Relu" else node
    return str(last.output[0])


class _Writer:
    """Rewrites a graph in place."""

    def __init__(self, graph: onnx.GraphProto, grids: Mapping[str, str], spreads: Mapping[str, Spread]) -> None:
        self.graph = graph
        self.grids = grids
        self.wires = Wires(graph)
        self.spreads = spreads
        self.steps = {name: (1.0, 0) if name == PIXELS_FLOAT else _grid(spreads[name]) for name in set(grids.values())}
        self.nodes: list[onnx.NodeProto] = []

    def write(self, keep: Collection[str]) -> None:
        for name, (scale, zero) in self.steps.items():
            self.graph.initializer.append(constant(f"{name}/scale", np.array(scale, np.float32)))
            self.graph.initializer.append(constant(f"{name}/zero", np.array(zero, np.uint8)))
        for value in self.graph.input:
            if value.name in self.grids:
                self._quantise(value.name, value.name)
        for node in list(self.graph.node):
            if node.op_type == "Relu" and self._absorbed(node.output[0], node.input[0]):
                continue
            if worth_quantising(node, self.wires) and node.name not in keep:
                self._quantise_weights(node)
            node.input[:] = [self._read(name) for name in node.input]
            self.nodes.append(node)
            target = node.output[0]
            behind = _behind_relu(node, self.wires)
            if self._absorbed(behind, target):
                target = behind
            if target in self.grids:
                raw = node.output[0] = f"{target}/raw"
                self._quantise(target, raw)
        del self.graph.node[:], self.graph.value_info[:]
        self.graph.node.extend(self.nodes)
        drop_unused(self.graph)

    def _absorbed(self, positive: str, source: str) -> bool:
        """Whether the quantiser of a ReLU's output takes the ReLU's place: it reads the layer before directly."""
        alone = self.wires.only_consumer(source)
        made = source in self.wires.producers and alone is not None and alone.op_type == "Relu"
        return made and positive != source and positive in self.grids and source not in self.grids

    def _read(self, name: str) -> str:
        """What a consumer of a tensor reads: the dequantised one; outputs of the model keep their name for it."""
        return f"{name}/dequantised" if name in self.grids and name not in self.wires.outputs else str(name)

    def _quantise(self, name: str, raw: str) -> None:
        grid = [f"{self.grids[name]}/scale", f"{self.grids[name]}/zero"]
        integers = f"{name}/uint8"
        if name == PIXELS_FLOAT:
            self.nodes.pop()  # The cast of the pixels: they are integers already.
            integers = PIXELS
        else:
            self.nodes.append(helper.make_node("QuantizeLinear", [raw, *grid], [integers], name=f"{name}/quantise"))
        self.nodes.append(
            helper.make_node("DequantizeLinear", [integers, *grid], [self._read(name)], name=f"{name}/dequantise")
        )

    def _quantise_weights(self, node: onnx.NodeProto) -> None:
        weights = self.wires.value(node.input[1])
        axis = 0 if node.op_type == "Conv" or attribute(node, "transB", 0) else 1
        others = tuple(index for index in range(weights.ndim) if index != axis)
        scale = np.abs(weights).max(axis=others).astype(np.float64) / _WEIGHT_LEVELS
        input_scale = self.steps[self.grids[node.input[0]]][0]
        bias = np.zeros(len(scale)) if len(node.input) < 3 or not node.input[2] else self.wires.value(node.input[2])
        # A channel with nearly no weights must still hold its bias in 32 bits.
        scale = np.maximum(scale, np.abs(bias) / (input_scale * _BIAS_LIMIT))
        scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
        shape = [-1 if index == axis else 1 for index in range(weights.ndim)]
        integers = np.clip(np.round(weights / scale.reshape(shape)), -_WEIGHT_LEVELS, _WEIGHT_LEVELS).astype(np.int8)
        lost = weights - integers * scale.reshape(shape)
        bias = bias + _mean_output(node, lost, axis, self.spreads[node.input[0]].means)
        node.input[1] = self._constant(f"{node.name}/weights", integers, scale, axis)
        if node.op_type == "MatMul":
            return
        steps = (scale * np.float32(input_scale)).astype(np.float32)
        whole = np.round(bias.astype(np.float64) / steps).astype(np.int32)
        del node.input[2:]
        node.input.append(self._constant(f"{node.name}/bias", whole, steps, 0))

    def _constant(self, name: str, integers: NDArray[Any], scale: NDArray[np.float32], axis: int) -> str:
        self.graph.initializer.extend(
            [
                constant(f"{name}/int", integers),
                constant(f"{name}/scale", scale),
                constant(f"{name}/zero", np.zeros(scale.shape, integers.dtype)),
            ]
        )
        self.nodes.append(
            helper.make_node(
                "DequantizeLinear",
                [f"{name}/int", f"{name}/scale", f"{name}/zero"],
                [name],
                axis=axis,
                name=f"{name}/dequantise",
            )
        )
        return name


def _grid(spread: Spread) -> tuple[float, int]:
    """Scale and zero point of the unsigned quantiser of a range."""
    scale = float(np.float32((spread.high - spread.low) / _ACTIVATION_LEVELS)) or 1.0
    return scale, round(-spread.low / scale)


def _mean_output(
    node: onnx.NodeProto, weights: NDArray[np.floating[Any]], axis: int, means: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What some weights add to each output channel on average, given the mean of each input channel.

    Added to the bias, it takes back the mean error of rounded weights (Nagel et al. 2019, arXiv 1906.04721, section
    4.2).
    """
    if node.op_type != "Conv":
        return np.asarray((weights if axis else weights.T).T.astype(np.float64) @ means)
    groups = attribute(node, "group", 1)
    taps = weights.sum(axis=tuple(range(2, weights.ndim)), dtype=np.float64)
    by_group = means.reshape(groups, -1)[np.repeat(np.arange(groups), len(taps) // groups)]
    return np.asarray((taps * by_group).sum(axis=1))
