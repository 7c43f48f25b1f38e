"""The script for GPU machines, as far as a machine without one can tell."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from medsynth.infer.device import probe

if TYPE_CHECKING:
    from types import ModuleType

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def gpu() -> Any:
    spec = importlib.util.spec_from_file_location("gpu", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_stands_alone() -> None:
    code = "import sys; sys.modules['medsynth'] = sys.modules['onnx'] = None; import runpy; runpy.run_path(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(SCRIPT)], check=True)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_models_of_the_peak_compute_what_is_counted(gpu: ModuleType, precision: str) -> None:
    rtol = 1e-4 if precision == "fp32" else 0.05
    for model, flops, axes in (
        (*gpu._matmul(precision, 128), "ijk,kl->ijl"),
        (*gpu._convolution(precision, 8, 6), None),
    ):
        onnx.checker.check_model(onnx.load_model_from_string(model), full_check=True)
        session = gpu.open_session(model, None, "cpu")
        feeds = gpu.draw(session, 64, 0)
        (got,) = session.run(None, feeds)
        weights = onnx.numpy_helper.to_array(onnx.load_model_from_string(model).graph.initializer[0])
        a, b = feeds["a"].astype(np.float64), weights.astype(np.float64)
        if axes is None:
            padded = np.pad(a, ((0, 0), (0, 0), (1, 1), (1, 1)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
            wanted = np.einsum("nchwij,ocij->nohw", windows, b)
            operations = 2 * wanted.size * b[0].size
        else:
            wanted = np.einsum(axes, a, b)
            operations = 2 * wanted.size * b.shape[0]
        np.testing.assert_allclose(got, wanted, rtol=rtol, atol=rtol)
        assert flops == operations


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_its_vgg16_is_a_model_that_computes_what_is_counted(gpu: ModuleType, precision: str) -> None:
    serialised, counted = gpu.vgg16(precision, 32, 16)
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(serialised), strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in model.graph.value_info
    }
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    operations = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            operations += 2 * int(np.prod(weights[node.input[1]])) * int(np.prod(shapes[node.output[0]][2:]))
        elif node.op_type == "MatMul":
            operations += 2 * int(np.prod(weights[node.input[1]]))
    assert [node.op_type for node in model.graph.node].count("Conv") == 13
    assert counted == operations
    session = gpu.open_session(serialised, None, "cpu")
    (rows,) = session.run(None, gpu.draw(session, 3, 0))
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=2e-3)
    assert np.ptp(rows, axis=0).max() > 0  # Images matter.


def test_a_dry_run_goes_the_whole_way(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, str(SCRIPT), "vgg16", "--precision", "fp16", "--batch-sizes", "2", "--count", "8"]
    subprocess.run([*command, "--dry-run", "--out", str(out)], check=True, capture_output=True, timeout=120)
    (row,) = json.loads(out.read_text())["rows"]
    assert not row["valid"]
    assert "a dry run, on the CPU" in row["reasons"]
    assert row["best"]["nodes"].keys() == {"CPUExecutionProvider"}
    for entry in (row["best"]["model_only"], row["best"]["with_copies"], row["end_to_end"]):
        assert entry["images_per_second"] > 0
    assert row["fraction_of_peak"] > 0


def test_differences(gpu: ModuleType) -> None:
    x = np.float32([1, -4])
    assert gpu.difference([x + np.float32(0.4)], [x]) == pytest.approx(0.1)
    assert gpu.difference([np.uint8([0, 51])], [np.uint8([0, 0])]) == pytest.approx(0.2)
    assert gpu.difference([x * np.nan], [x]) == float("inf")


def test_fp16_is_not_tried_with_two_kinds_of_fp32(gpu: ModuleType) -> None:
    assert len(gpu.candidates("fp32")) == 16
    assert len(gpu.candidates("fp16")) == 8


@pytest.mark.skipif(probe("cuda") is None, reason="a GPU is here")
def test_without_a_gpu_nothing_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "absent.onnx", "--out", str(out)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "CUDA does not work here" in done.stderr
    assert not out.exists()
