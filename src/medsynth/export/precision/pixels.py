"""Let the first convolution read the pixels: fold what stands between ``images`` and it into its weights.

Networks scale their pixels, subtract a mean, replicate grey to three channels. Quantising after that arithmetic would
leave it, and the largest tensor of the network, in float32, and round pixels that are integers already. All of it is
one affine map of the channels of a pixel, z = A x + b, and a convolution of z is a convolution of x and of a channel
of ones: W * z = (W A) * x + (W b) * 1. The channel of ones (255, as any pixel) is what makes it exact at the border
too, where the network pads z with zeros, not x: padding it with zeros takes b away along with A x.

Integer kernels take their input channels in fours. What is free of them holds copies of the pixels: n copies share the
weight w as w / n, staggered by fractions of a step, so that their rounded sum is n times finer (Hermite's identity).
The first layer has few weights and the largest inputs; it is where rounding does most harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from medsynth.export.precision.graph import Wires, attribute, constant, copy_model, drop_unused, open_session

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PIXELS", "PIXELS_FLOAT", "fold_pixel_arithmetic"]

PIXELS = "medsynth/pixels"
"""The uint8 tensor (batch, channels, height, width) that the folded convolution reads behind a ``Cast``."""

PIXELS_FLOAT = f"{PIXELS}/float"
"""The same as float32."""

_PIXELWISE = frozenset({"Cast", "Mul", "Sub", "Add", "Div", "Concat", "Gather", "Transpose", "Identity", "Unsqueeze"})
_WHITE = 255.0
_LANES = 4
_WEIGHT_LEVELS = 127


def fold_pixel_arithmetic(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold the affine arithmetic on pixels into the convolutions that follow it.

    The arithmetic is not parsed but asked: the map is measured on probing images, and proven on random ones.

    Args:
        model: A classifier, simplified.

    Returns:
        The folded model; the same model where its first layers are no convolutions of an affine map of the pixels.
    """
    wires = Wires(model.graph)
    found = _preamble(model.graph, wires)
    if found is None:
        return model
    edge, convolutions = found
    shape = [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    affine = _measure(model, edge, shape)
    if affine is None:
        return model
    matrix, offset = affine
    ones = 1 if np.any(offset) else 0
    copies = max(1, (_LANES - ones) // shape[2])
    channels = -(-(copies * shape[2] + ones) // _LANES) * _LANES
    folded = copy_model(model)
    graph = folded.graph
    for node in graph.node:
        if node.name in {convolution.name for convolution in convolutions}:
            fused = _fold(wires.value(node.input[1]), matrix, offset, copies, channels)
            name = f"{node.name}/pixels"
            graph.initializer.append(constant(name, fused))
            node.input[0], node.input[1] = PIXELS_FLOAT, name
    nodes = [*_pixel_nodes(graph, shape[2], copies, channels - copies * shape[2]), *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unused(graph)
    return folded


def _fold(
    weights: NDArray[np.float32],
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    copies: int,
    channels: int,
) -> NDArray[np.float32]:
    """Weights (o, z, h, w) for z as weights (o, channels, h, w) for the copies of x, the ones, and filling."""
    fused = np.zeros((len(weights), channels, *weights.shape[2:]))
    pixels = np.einsum("ozhw,zx->oxhw", weights, matrix) / copies
    ones = np.einsum("ozhw,z->ohw", weights, offset) / _WHITE
    largest = np.maximum(np.abs(pixels).max(axis=(1, 2, 3)), np.abs(ones).max(axis=(1, 2)))
    step = (largest / _WEIGHT_LEVELS)[:, None, None, None]
    colours = pixels.shape[1]
    for copy in range(copies):
        stagger = step * ((2 * copy + 1 - copies) / (2 * copies))
        fused[:, copy * colours : (copy + 1) * colours] = pixels + stagger
    if np.any(offset):
        fused[:, copies * colours] = ones
    return fused.astype(np.float32)


def _pixel_nodes(graph: onnx.GraphProto, colours: int, copies: int, filling: int) -> list[onnx.NodeProto]:
    """From ``images`` to :data:`PIXELS` and its float32 form."""
    last = graph.input[0].name
    parts = [last] * copies
    nodes = []
    if filling:
        # White for any batch size is what the pixels become when clipped to it. Padding, which goes pixel by pixel,
        # took nearly as long as the convolution.
        source, white = last, f"{PIXELS}/white"
        if filling < colours:
            source = f"{PIXELS}/some"
            bounds = [f"{source}/{name}" for name in ("start", "end", "axis")]
            graph.initializer.extend(
                constant(name, np.array([value], np.int64)) for name, value in zip(bounds, (0, filling, 3), strict=True)
            )
            nodes.append(helper.make_node("Slice", [last, *bounds], [source], name=f"{PIXELS}/choose"))
        graph.initializer.append(constant(white, np.array(int(_WHITE), np.uint8)))
        nodes.append(helper.make_node("Clip", [source, white], [f"{PIXELS}/ones"], name=f"{PIXELS}/whiten"))
        parts.append(f"{PIXELS}/ones")
    if len(parts) > 1:
        nodes.append(helper.make_node("Concat", parts, [f"{PIXELS}/channels"], axis=3, name=f"{PIXELS}/join"))
        last = f"{PIXELS}/channels"
    nodes.append(helper.make_node("Transpose", [last], [PIXELS], perm=[0, 3, 1, 2], name=f"{PIXELS}/order"))
    nodes.append(helper.make_node("Cast", [PIXELS], [PIXELS_FLOAT], to=TensorProto.FLOAT, name=f"{PIXELS}/cast"))
    return nodes


def _preamble(graph: onnx.GraphProto, wires: Wires) -> tuple[str, list[onnx.NodeProto]] | None:
    """The one float tensor where pixelwise arithmetic ends, and the convolutions that read it."""
    if len(graph.input) != 1 or graph.input[0].type.tensor_type.elem_type != TensorProto.UINT8:
        return None
    reached = {graph.input[0].name}
    for node in graph.node:
        if node.op_type in _PIXELWISE and node.input and set(wires.activations(node)) <= reached:
            reached.update(node.output)
    edges = {
        name
        for name in reached
        if name in wires.outputs or any(not reached.intersection(node.output) for node in wires.consumers.get(name, []))
    }
    if len(edges) != 1 or edges & wires.outputs:
        return None
    (edge,) = edges
    readers = wires.consumers[edge]
    ok = all(
        node.op_type == "Conv"
        and node.input[0] == edge
        and node.input[1] in wires.constants
        and attribute(node, "group", 1) == 1
        for node in readers
    )
    return (edge, readers) if ok else None


def _measure(
    model: onnx.ModelProto, edge: str, shape: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """A (z, x) and b (z) of the arithmetic, or ``None`` where it is not an affine map of the channels of a pixel."""
    height, width, channels = shape
    part = copy_model(model)
    del part.graph.output[:]
    part.graph.output.append(helper.make_tensor_value_info(edge, TensorProto.FLOAT, None))
    drop_unused(part.graph)
    session = open_session(part)
    probes = np.zeros((channels + 2, *shape), np.uint8)
    for channel in range(channels):
        probes[channel + 1, ..., channel] = 255
    probes[-1] = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    seen: NDArray[Any] = session.run([edge], {model.graph.input[0].name: probes})[0].astype(np.float64)
    if seen.ndim != 4 or seen.shape[2:] != (height, width):
        return None
    offset = seen[0, :, 0, 0]
    matrix = (seen[1:-1, :, 0, 0] - offset).T / 255.0
    expected = np.einsum("zx,nhwx->nzhw", matrix, probes.astype(np.float64)) + offset[:, None, None]
    if np.abs(expected - seen).max() > 1e-5 * max(1.0, np.abs(seen).max()):
        return None
    return matrix, offset
