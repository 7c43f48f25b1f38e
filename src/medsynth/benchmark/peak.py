"""What share of the machine's arithmetic a model uses: its operations counted, the machine's peak measured.

A share above 1 means that something else was measured than what was counted; far below 1, that memory or overhead and
not arithmetic bounds the model.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.artifact.runtime import import_onnxruntime, session_options
from medsynth.infer.device import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import onnx

    from medsynth.benchmark.report import BatchResult

__all__ = ["count_flop", "judged", "measure_peak"]

MOST = 1.2
"""Above this share of the measured peak a figure is refused."""

_RUNS = 6
_LAYERS = 3
_LARGE_TENSOR = 4096
# Matrix side; images, channels and side of the convolution: some 0.1 s a run.
_SIZES = {"cpu": (1536, (4, 64, 112)), "cuda": (8192, (64, 256, 56)), "tensorrt": (8192, (64, 256, 56))}


def count_flop(path: Path, image_size: int | None = None) -> float | None:
    """Floating-point operations for one image: two for each multiplication in convolutions and matrix products.

    Args:
        path: Any ONNX file; its weights are not looked at.
        image_size: Length of free axes other than the first.

    Returns:
        ``None`` where shapes cannot be inferred, or the file works in integers.
    """
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
        if any(node.op_type.startswith(("Quantize", "QLinear")) for node in model.graph.node):
            return None
        _fix_shapes(model, image_size)
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        shapes = {
            value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
            for value in (*graph.input, *graph.value_info, *graph.output)
        }
        shapes.update({tensor.name: list(tensor.dims) for tensor in graph.initializer})
        return sum(_node_flop(node, shapes) for node in graph.node) or None
    except (KeyError, IndexError, ValueError, onnx.shape_inference.InferenceError):
        return None


def _fix_shapes(model: onnx.ModelProto, image_size: int | None) -> None:
    """One image; and large weights without their values, which would only be copied."""
    from onnx import helper

    graph = model.graph
    for value in graph.input:
        for index, axis in enumerate(value.type.tensor_type.shape.dim):
            if not axis.dim_value:
                axis.dim_value = 1 if index == 0 else image_size or 1
    # What the file says of inner and outgoing shapes may name free axes.
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    large = [tensor for tensor in graph.initializer if math.prod(tensor.dims) > _LARGE_TENSOR]
    named = {value.name for value in graph.input}
    for tensor in large:
        if tensor.name not in named:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
        graph.initializer.remove(tensor)


def _node_flop(node: onnx.NodeProto, shapes: Mapping[str, Sequence[int]]) -> float:
    if node.op_type == "Conv":
        return 2.0 * math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type == "ConvTranspose":
        return 2.0 * math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])
    if node.op_type in {"MatMul", "Gemm"}:
        inner = shapes[node.input[0]]
        transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return 2.0 * math.prod(shapes[node.output[0]]) * inner[0 if transposed else -1]
    return 0.0


def measure_peak(device: str, precision: str = "fp32") -> float | None:
    """Operations in a second of the better of a large matrix product and a large 3x3 convolution.

    Args:
        device: ``cpu``, ``cuda`` or ``tensorrt``.
        precision: ``fp32`` or ``fp16``; others have no such probe and give ``None``.
    """
    if precision not in {"fp32", "fp16"}:
        return None
    dtype = np.dtype(np.float32 if precision == "fp32" else np.float16)
    side, (images, channels, width) = _SIZES[device]
    matrix = 2.0 * side**3
    convolution = 2.0 * images * width**2 * channels**2 * 9
    probes = (
        ("MatMul", [side, side], [side, side], matrix),
        ("Conv", [images, channels, width, width], [channels, channels, 3, 3], convolution),
    )
    return max(
        _LAYERS * flop / _best_seconds(_probe(operator, shape, weight, dtype), device, dtype)
        for operator, shape, weight, flop in probes
    )


def _probe(operator: str, shape: list[int], weight: list[int], dtype: np.dtype[Any]) -> bytes:
    """A chain of one operator on data that stay on the device: a factor goes in, the largest value comes out."""
    from onnx import helper, numpy_helper

    random = np.random.default_rng(0)
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    attributes: dict[str, Any] = {"pads": [1] * 4} if operator == "Conv" else {}
    scale = 1 / math.sqrt(math.prod(weight[1:]))  # Keeps the size of values from layer to layer.
    nodes = [helper.make_node("Mul", ["data", "factor"], ["x0"])]
    nodes += [helper.make_node(operator, [f"x{n}", "weight"], [f"x{n + 1}"], **attributes) for n in range(_LAYERS)]
    nodes.append(helper.make_node("ReduceMax", [f"x{_LAYERS}"], ["largest"], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "peak",
        [helper.make_tensor_value_info("factor", kind, [1])],
        [helper.make_tensor_value_info("largest", kind, [])],
        [
            numpy_helper.from_array(random.standard_normal(shape, np.float32).astype(dtype), "data"),
            numpy_helper.from_array((scale * random.standard_normal(weight, np.float32)).astype(dtype), "weight"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _best_seconds(model: bytes, device: str, dtype: np.dtype[Any]) -> float:
    session = import_onnxruntime().InferenceSession(
        model, session_options(), providers=[PROVIDERS[device]], enable_fallback=0
    )
    factor = np.ones(1, dtype)
    seconds = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        session.run(None, {"factor": factor})
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def judged(row: BatchResult, flop: float | None, peak: float | None) -> BatchResult:
    """The result with its share of the peak; invalid where that cannot be."""
    if flop is None or peak is None:
        return row
    share = row.images_per_second * flop / peak
    if share <= MOST:
        return replace(row, share_of_peak=share)
    reason = f"{share:.0%} of the peak that this machine reached just before cannot be"
    return replace(row, share_of_peak=share, valid=False, reasons=(*row.reasons, reason))
