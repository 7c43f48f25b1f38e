from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from medsynth.benchmark import benchmark
from medsynth.benchmark.measure import Rules
from medsynth.benchmark.peak import count_flop, judged, measure_peak

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
    quantised = [helper.make_node("QuantizeLinear", ["x", "s"], ["y"])]
    path = save(tmp_path / "q.onnx", quantised, [value("x", TensorProto.FLOAT, ["n", 4])], {"s": ()}, "y")
    assert count_flop(path) is None


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
    assert measure_peak("cpu", "int8") is None


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
