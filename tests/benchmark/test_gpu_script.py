"""The script for GPU machines, as far as a machine without one can tell."""

from __future__ import annotations

import importlib.util
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
