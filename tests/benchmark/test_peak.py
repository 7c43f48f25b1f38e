from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from medsynth.benchmark import benchmark
from medsynth.benchmark.peak import count_flop, judged, measure_peak
from medsynth.benchmark.trial import Rules

if TYPE_CHECKING:
    from types import ModuleType

value = helper.make_tensor_value_info


def save(path: Path, nodes: list[Any], inputs: list[Any], weights: dict[str, tuple[int, ...]], output: str) -> Path:
    tensors = [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in weights.items()]
    graph = helper.make_graph(nodes, "g", inputs, [value(output, TensorProto.FLOAT, None)], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def vgg16(path: Path) -> Path:
    """The layers of VGG16, each weight one and the same small array where the shape allows."""
    nodes, weights, last, channels = [], {}, "x", 3
    for block, (filters, times) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]):
        for layer in range(times):
            name = f"{block}{layer}"
            weights[f"k{name}"] = (filters, channels, 3, 3)
            nodes.append(helper.make_node("Conv", [last, f"k{name}"], [f"c{name}"], pads=[1] * 4))
            last, channels = f"c{name}", filters
        nodes.append(helper.make_node("MaxPool", [last], [f"p{block}"], kernel_shape=[2, 2], strides=[2, 2]))
        last = f"p{block}"
    nodes.append(helper.make_node("Flatten", [last], ["flat"]))
    last, width = "flat", 25088
    for index, units in enumerate((4096, 4096, 1000)):
        weights[f"d{index}"] = (width, units)
        nodes.append(helper.make_node("Gemm", [last, f"d{index}"], [f"g{index}"]))
        last, width = f"g{index}", units
    return save(path, nodes, [value("x", TensorProto.FLOAT, ["batch", 3, "h", "w"])], weights, last)


def test_vgg16_has_its_published_count(tmp_path: Path) -> None:
    flop = count_flop(vgg16(tmp_path / "v.onnx"), 224)
    assert flop == pytest.approx(2 * 15.47e9, rel=1e-3)  # GMAC: timm's benchmark tables


def test_transposed_convolution_and_matrix_products(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ConvTranspose", ["x", "k"], ["c"], strides=[2, 2], kernel_shape=[2, 2]),
        helper.make_node("Flatten", ["c"], ["f"]),
        helper.make_node("MatMul", ["f", "m"], ["y"]),
    ]
    weights = {"k": (3, 5, 2, 2), "m": (5 * 8 * 8, 7)}
    path = save(tmp_path / "m.onnx", nodes, [value("x", TensorProto.FLOAT, ["n", 3, 4, 4])], weights, "y")
    # Every input value meets every weight of its channel once.
    assert count_flop(path) == 2 * (3 * 4 * 4 * 5 * 2 * 2) + 2 * (5 * 8 * 8 * 7)


def test_what_cannot_be_counted(tmp_path: Path) -> None:
    relu = [helper.make_node("Relu", ["x"], ["y"])]
    assert count_flop(save(tmp_path / "r.onnx", relu, [value("x", TensorProto.FLOAT, ["n", 4])], {}, "y")) is None


def quantised(path: Path, style: str) -> Path:
    """One int8 convolution, 5 filters on 2 channels of 6x6: a float operator between quantisers, or one operator."""
    one, zero = numpy_helper.from_array(np.float32(1), "s"), numpy_helper.from_array(np.uint8(0), "z")
    weight = numpy_helper.from_array(np.ones((5, 2, 3, 3), np.int8), "w")
    still = numpy_helper.from_array(np.int8(0), "wz")
    if style == "qdq":
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
            helper.make_node("DequantizeLinear", ["w", "s", "wz"], ["k"]),
            helper.make_node("Conv", ["d", "k"], ["y"]),
        ]
        out = value("y", TensorProto.FLOAT, None)
    else:
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            helper.make_node("QLinearConv", ["q", "s", "z", "w", "s", "wz", "s", "z"], ["y"]),
        ]
        out = value("y", TensorProto.UINT8, None)
    graph = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, ["n", 2, 6, 6])], [out], [one, zero, weight, still]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("style", ["qdq", "qlinear"])
def test_quantised_operators_count_as_their_float_ones(tmp_path: Path, style: str) -> None:
    assert count_flop(quantised(tmp_path / "q.onnx", style)) == 2 * (5 * 4 * 4) * (2 * 3 * 3)


def test_the_peak_is_about_that_of_numpy() -> None:
    import time

    peak = measure_peak("cpu")
    assert peak is not None
    a = np.random.default_rng(0).random((1024, 1024), np.float32)
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - began)
    # Both share the processors with whatever runs beside the tests.
    assert 0.2 < peak / (2 * 1024**3 / min(seconds)) < 5


def test_the_integer_peak() -> None:
    """Of the order of the float one, and only where integer kernels run."""
    peak, plain = measure_peak("cpu", "int8"), measure_peak("cpu")
    assert peak is not None
    assert plain is not None
    assert 0.3 < peak / plain < 64
    assert measure_peak("cuda", "int8") is None
    assert measure_peak("cpu", "not known") is None


@pytest.mark.parametrize("operator", ["MatMul", "Conv"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_probe_keeps_its_values_alive(operator: str, precision: str) -> None:
    """No layer overflows, saturates or dies out, so that no shortcut on zeros is timed."""
    from medsynth.artifact.runtime import import_onnxruntime
    from medsynth.benchmark.peak import _probe

    shape, weight = ([64, 64], [64, 64]) if operator == "MatMul" else ([1, 16, 12, 12], [16, 16, 3, 3])
    model = onnx.load_model_from_string(_probe(operator, shape, weight, precision))
    kind = TensorProto.FLOAT if precision == "fp32" else TensorProto.UINT8
    model.graph.output.append(helper.make_tensor_value_info("x3", kind, None))
    session = import_onnxruntime().InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    factor = np.ones(1, np.float32 if precision == "fp32" else np.uint8)
    last = session.run(["x3"], {"factor": factor})[0].astype(np.float64)
    steps = 1 if precision == "fp32" else 32
    assert 0.2 < last.std() / steps < 5
    assert precision == "fp32" or np.mean((last > 0) & (last < 255)) > 0.8


def test_a_report_gives_the_share(tiny: ModuleType, tmp_path: Path) -> None:
    path = tiny.classifier_file(tmp_path / "m.onnx")
    report = benchmark(path, (4,), "cpu", rules=Rules(min_seconds=0.02, min_runs=9))
    assert report.gflop_per_image == pytest.approx((2 * 12 * 16 * 8 * 27 + 2 * 8 * 2) / 1e9)
    (row,) = report.batches
    assert report.peak_gflop_per_second is not None
    share = row.images_per_second * report.gflop_per_image / report.peak_gflop_per_second
    assert row.share_of_peak == pytest.approx(share)
    assert 0 < share < 1
    impossible = judged(replace(row, valid=True, reasons=()), 1e9, row.images_per_second * 1e9 / 1.5)
    assert not impossible.valid
    assert impossible.reasons == ("150% of the peak that this machine reached just before cannot be",)
