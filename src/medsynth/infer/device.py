"""Which device really works: believed only after a convolution ran on it, and refused with the cause and the cure.

onnxruntime lists providers that it was built with, not those that work, and falls back to the CPU without a word. So a
device is probed with fall-back disabled; cuDNN, which the provider loads at its first convolution, is probed with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np

from medsynth.artifact.golden import runtime_says
from medsynth.artifact.runtime import import_onnxruntime, session_options
from medsynth.errors import ConfigError, DeviceError

__all__ = ["CLASH", "DEVICES", "PROVIDERS", "Fault", "check_device", "is_installed", "probe", "resolve_device"]

DEVICES = ("auto", "cpu", "cuda", "tensorrt")
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""onnxruntime's name of each device's execution provider."""

_LIBRARIES = {"cuda": "onnxruntime_providers_cuda", "tensorrt": "onnxruntime_providers_tensorrt"}
_REINSTALL = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'onnxruntime-gpu~=1.31.0'"
_INSTALL_LIBRARIES = {
    "cuda": "pip install 'onnxruntime-gpu[cuda,cudnn]~=1.31.0'",
    "tensorrt": "pip install 'onnxruntime-gpu[cuda,cudnn]~=1.31.0' 'tensorrt-cu13>=10.13,<11'",
}
# By words of CUDA's own messages, which onnxruntime passes on.
_CURES = {
    "driver version is insufficient": "Update the NVIDIA driver to 580 or newer",
    "no CUDA-capable device": "Give this process a GPU (in a container: --gpus all; see CUDA_VISIBLE_DEVICES)",
    "out of memory": "End other processes on the GPU",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a device does not work, and the command or step that mends it."""

    cause: str
    cure: str


CLASH = Fault("the packages onnxruntime and onnxruntime-gpu overwrite each other", f"Run: {_REINSTALL}")


def resolve_device(device: str) -> str:
    """The device to use: itself, or for ``auto`` CUDA where it works and else the CPU.

    TensorRT is never chosen by ``auto``: building its engines takes minutes.

    Raises:
        ConfigError: There is no such device.
        DeviceError: It does not work here.
    """
    if device not in DEVICES:
        raise ConfigError(f"device must be one of {', '.join(DEVICES)}. Got {device!r}.")
    if device == "auto":
        return "cuda" if probe("cuda") is None else "cpu"
    check_device(device)
    return device


def check_device(device: str) -> None:
    """Prove that a device works.

    Raises:
        DeviceError: It does not; the line says why and how to mend it.
    """
    fault = probe(device)
    if fault is not None:
        raise DeviceError(f"device {device!r} does not work here: {fault.cause}. {fault.cure} (or use --device cpu).")


@cache
def probe(device: str) -> Fault | None:
    """Run one convolution on a device (``cpu``, ``cuda`` or ``tensorrt``); ``None`` if it worked there."""
    onnxruntime = import_onnxruntime()
    provider = PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        return _not_built_in(provider)
    if device != "cpu":
        preload_libraries()
    try:
        # Naming the CPU beside a disabled fall-back is an error of its own, hence one provider and, on the CPU, no key.
        options = session_options() if device == "cpu" else session_options(disable_cpu_ep_fallback="1")
        session = onnxruntime.InferenceSession(_convolution(), options, providers=[provider], enable_fallback=0)
        if session.get_providers()[0] != provider:
            return _diagnose(device, f"onnxruntime chose {session.get_providers()[0]} instead of {provider}")
        pixels = np.linspace(-1.0, 1.0, 3 * 8 * 8, dtype=np.float32).reshape(1, 3, 8, 8)
        (result,) = session.run(None, {"x": pixels})
    except Exception as error:  # onnxruntime's exceptions have no common class but this.
        return _diagnose(device, runtime_says(error))
    return None if np.isfinite(result).all() else _diagnose(device, "a convolution gave numbers that are not finite")


@cache
def preload_libraries() -> None:
    """Load CUDA's and cuDNN's libraries from the nvidia wheels, so that no LD_LIBRARY_PATH is needed."""
    with contextlib.redirect_stdout(io.StringIO()):  # It prints what it does not find; _diagnose says it better.
        import_onnxruntime().preload_dlls()


def is_installed(name: str) -> bool:
    """Whether a distribution of this name is installed."""
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _not_built_in(provider: str) -> Fault:
    if sys.platform == "darwin":
        return Fault("there is no CUDA on macOS", "Choose a Linux or Windows machine with an NVIDIA GPU")
    if is_installed("onnxruntime"):
        if is_installed("onnxruntime-gpu"):
            return CLASH
        return Fault("the installed package onnxruntime has no GPU support", f"Run: {_REINSTALL}")
    return Fault(f"this build of onnxruntime has no {provider}", "onnxruntime-gpu has it, on Linux and Windows")


def _diagnose(device: str, symptom: str) -> Fault:
    """The cause behind a failed probe, most fundamental first."""
    if device == "cpu":
        return Fault(symptom, "Install onnxruntime again")
    missing = list(_missing_libraries(device))
    if missing and missing[0] == _driver():
        more = f"; missing too: {', '.join(missing[1:])}" if missing[1:] else ""
        cure = f"With an NVIDIA GPU: install its driver, 580 or newer, then run: {_INSTALL_LIBRARIES[device]}"
        return Fault(f"no NVIDIA driver ({missing[0]} is missing{more})", cure)
    if missing:
        other = "; TensorFlow's CUDA 12 wheels do not serve it" if is_installed("nvidia-cublas-cu12") else ""
        return Fault(f"{', '.join(missing)} is missing{other}", f"Run: {_INSTALL_LIBRARIES[device]}")
    if is_installed("onnxruntime") and is_installed("onnxruntime-gpu"):
        return CLASH
    cures = (cure for words, cure in _CURES.items() if words in symptom)
    return Fault(symptom, next(cures, "medsynth doctor lists what is installed"))


def _missing_libraries(device: str) -> Iterator[str]:
    """The driver and the first library that the provider needs and the loader does not find."""
    if not _loads(_driver()):
        yield _driver()
    folder = Path(import_onnxruntime().__file__).parent / "capi"
    pattern = f"{_LIBRARIES[device]}.dll" if sys.platform == "win32" else f"lib{_LIBRARIES[device]}.so"
    try:
        ctypes.CDLL(str(folder / pattern))
    except OSError as error:
        # glibc: "libcublasLt.so.13: cannot open shared object file: ..."; Windows does not name the library.
        name = str(error).split(":", maxsplit=1)[0]
        if name not in {_driver(), str(folder / pattern)} and " " not in name:
            yield name


def _driver() -> str:
    return "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _convolution() -> bytes:
    """A serialised model with one 3x3 convolution."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.linspace(-1.0, 1.0, 4 * 3 * 3 * 3, dtype=np.float32).reshape(4, 3, 3, 3)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 6, 6])],
        [numpy_helper.from_array(weights, "w")],
    )
    model: Any = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
