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

# Of the values and of the weights.
_TYPES = {"fp32": (np.float32, np.float32), "fp16": (np.float16, np.float16), "int8": (np.uint8, np.int8)}
_RUNS = 6
_LAYERS = 3
_LARGE_TENSOR = 4096
# Matrix side; images, channels and side of the convolution: some 0.1 s a run.
_SIZES = {"cpu": (1536, (4, 64, 112)), "cuda": (8192, (64, 256, 56)), "tensorrt": (8192, (64, 256, 56))}
# Each value that comes out is rescaled, which weighs more than the products where channels are few.
_INTEGER_SIZES = (1536, (4, 256, 28))


def count_flop(path: Path, image_size: int | None = None) -> float | None:
    """Operations for one image: two for each multiplication in convolutions and matrix products, quantised ones too.

    Args:
        path: Any ONNX file; its weights are not looked at.
        image_size: Length of free axes other than the first.

    Returns:
        ``None`` where shapes cannot be inferred, or there is nothing to count.
    """
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
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
    # Quantised operators have a scale and a zero point behind each operand.
    second = 3 if node.op_type.startswith("QLinear") else 1
    kind = node.op_type.removeprefix("QLinear").removesuffix("Integer")
    if kind == "Conv":
        return 2.0 * math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[second]][1:])
    if kind == "ConvTranspose":
        return 2.0 * math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[second]][1:])
    if kind in {"MatMul", "Gemm"}:
        inner = shapes[node.input[0]]
        transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return 2.0 * math.prod(shapes[node.output[0]]) * inner[0 if transposed else -1]
    return 0.0


def measure_peak(device: str, precision: str = "fp32") -> float | None:
    """Operations in a second of the better of a large matrix product and a large 3x3 convolution.

    Args:
        device: ``cpu``, ``cuda`` or ``tensorrt``.
        precision: ``fp32``, ``fp16``, or on the CPU ``int8`` (unsigned activations, signed weights); others have no
            such probe and give ``None``.
    """
    if precision not in _TYPES or (precision == "int8" and device != "cpu"):
        return None
    side, (images, channels, width) = _INTEGER_SIZES if precision == "int8" else _SIZES[device]
    matrix = 2.0 * side**3
    convolution = 2.0 * images * width**2 * channels**2 * 9
    probes = (
        ("MatMul", [side, side], [side, side], matrix),
        ("Conv", [images, channels, width, width], [channels, channels, 3, 3], convolution),
    )
    return max(
        _LAYERS * flop / _best_seconds(_probe(operator, shape, weight, precision), device, precision)
        for operator, shape, weight, flop in probes
    )


def _probe(operator: str, shape: list[int], weight: list[int], precision: str) -> bytes:
    """A chain of one operator on data that stay on the device: a factor goes in, the largest value comes out."""
    from onnx import helper, numpy_helper

    random = np.random.default_rng(0)
    data, kernel = random.standard_normal(shape, np.float32), random.standard_normal(weight, np.float32)
    spread = math.sqrt(math.prod(weight[1:]) if operator == "Conv" else weight[0])
    attributes: dict[str, Any] = {"pads": [1] * 4} if operator == "Conv" else {}
    constants: dict[str, Any] = {}
    first, operands = "Mul", ["weight"]
    if precision == "int8":
        # A standard deviation is 32 steps: of what goes in, of the weights, and of what comes out. Weights of 7 bits
        # run on the fastest kernels of every processor (see session_options).
        data, kernel = (32 * data + 128).clip(0, 255), (32 * kernel).clip(-64, 63)
        constants = {"step": np.float32(1 / 32), "out": np.float32(spread / 32)}
        constants |= {"middle": np.uint8(128), "zero": np.int8(0)}
        first, operator = "BitwiseOr", f"QLinear{operator}"
        operands = ["step", "middle", "weight", "step", "zero", "out", "middle"]
    else:
        kernel /= spread  # Keeps the size of values from layer to layer.
    values, weights = _TYPES[precision]
    constants |= {"data": data.astype(values), "weight": kernel.astype(weights)}
    nodes = [helper.make_node(first, ["data", "factor"], ["x0"])]
    nodes += [helper.make_node(operator, [f"x{n}", *operands], [f"x{n + 1}"], **attributes) for n in range(_LAYERS)]
    nodes.append(helper.make_node("ReduceMax", [f"x{_LAYERS}"], ["largest"], keepdims=0))
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(values))
    graph = helper.make_graph(
        nodes,
        "peak",
        [helper.make_tensor_value_info("factor", kind, [1])],
        [helper.make_tensor_value_info("largest", kind, [])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


def _best_seconds(model: bytes, device: str, precision: str) -> float:
    session = import_onnxruntime().InferenceSession(
        model, session_options(), providers=[PROVIDERS[device]], enable_fallback=0
    )
    factor = np.ones(1, _TYPES[precision][0])
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
