"""What is installed, what clashes, and which devices really work."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

from medsynth.errors import MedsynthError
from medsynth.infer.device import CLASH, PROVIDERS, is_installed, probe

__all__ = ["Finding", "examine"]

_CHECKOUT = " (in the checkout)"
_BASE = ("numpy", "pillow", "scikit-learn", "pluggy", "onnx", "typer", "rich", "matplotlib", "jinja2", "tomli-w")
_EXTRAS = {
    "train": (("tensorflow", "tensorflow-cpu", "tensorflow-intel"), ("keras",), ("tf2onnx",)),
    "dicom": (("pydicom",),),
    "parquet": (("pyarrow",),),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        subject: What was looked at.
        status: ``ok``; ``absent`` (optional, or not on this machine); ``problem`` (broken).
        detail: What was found.
        cure: The command or step that mends or adds it; empty where nothing is to be done.
    """

    subject: str
    status: Literal["ok", "absent", "problem"]
    detail: str
    cure: str = ""


def examine() -> tuple[Finding, ...]:
    """Look at the environment; imports neither TensorFlow nor Keras, and uses no network."""
    return (
        Finding("python", "ok", f"{platform.python_version()} on {sys.platform} {platform.machine()}"),
        *_medsynth(),
        *_base(),
        *_onnxruntime(),
        *_extras(),
        *_cuda_wheels(),
        *_devices(),
    )


def _medsynth() -> Iterator[Finding]:
    if is_installed("medsynth-core"):
        yield Finding("medsynth-core", "ok", version("medsynth-core"))
    else:
        yield Finding("medsynth-core", "absent", "runs from a source tree, not installed", f"pip install .{_CHECKOUT}")
    if is_installed("medsynth"):
        yield Finding(
            "medsynth",
            "problem",
            f"another project of this name ({version('medsynth')}) is installed and shares our import name",
            "pip uninstall -y medsynth && pip install --force-reinstall --no-deps ." + _CHECKOUT,
        )


def _base() -> Iterator[Finding]:
    for name in _BASE:
        if is_installed(name):
            yield Finding(name, "ok", version(name))
        else:
            yield Finding(name, "problem", "not installed", f"pip install {name}")


def _onnxruntime() -> Iterator[Finding]:
    found = {name: version(name) for name in ("onnxruntime-gpu", "onnxruntime") if is_installed(name)}
    said = ", ".join(f"{name} {number}" for name, number in found.items())
    if len(found) == 2:
        yield Finding("onnxruntime", "problem", f"{said}: they overwrite each other", CLASH.cure.removeprefix("Run: "))
    elif found:
        yield Finding("onnxruntime", "ok", f"{said}; its telemetry is switched off")
    else:
        wheel = "onnxruntime~=1.31" if sys.platform == "darwin" else "onnxruntime-gpu~=1.31.0"
        yield Finding("onnxruntime", "problem", "not installed", f"pip install '{wheel}'")


def _extras() -> Iterator[Finding]:
    for extra, parts in _EXTRAS.items():
        for names in parts:
            found = next((name for name in names if is_installed(name)), None)
            if found is None:
                cure = f"pip install '.[{extra}]'{_CHECKOUT}"
                yield Finding(names[0], "absent", f"not installed (extra {extra})", cure)
            else:
                yield Finding(found, "ok", f"{version(found)} (extra {extra})")


def _cuda_wheels() -> Iterator[Finding]:
    """TensorFlow's wheels are of CUDA 12, onnxruntime's of CUDA 13, and both own nvidia/cudnn/lib/libcudnn.so.9."""
    majors = [major for major in ("12", "13") if is_installed(f"nvidia-cudnn-cu{major}")]
    if len(majors) == 2:
        yield Finding(
            "cuDNN",
            "problem",
            f"nvidia-cudnn-cu12 {version('nvidia-cudnn-cu12')} and nvidia-cudnn-cu13 {version('nvidia-cudnn-cu13')} "
            "own the same file, so one has overwritten the other",
            "train with tensorflow[and-cuda] (CUDA 12) and serve with onnxruntime-gpu (CUDA 13) in two environments",
        )
    elif majors:
        yield Finding("cuDNN", "ok", f"{version(f'nvidia-cudnn-cu{majors[0]}')} for CUDA {majors[0]}")


def _devices() -> Iterator[Finding]:
    for device in PROVIDERS:
        try:
            fault = probe(device)
        except MedsynthError as error:
            yield Finding(f"device {device}", "problem", str(error))
            continue
        if fault is None:
            yield Finding(f"device {device}", "ok", "a convolution ran on it")
        else:
            status: Literal["absent", "problem"] = "problem" if device == "cpu" else "absent"
            yield Finding(f"device {device}", status, fault.cause, fault.cure)
