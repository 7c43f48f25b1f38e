"""The one door to onnxruntime: telemetry off before the import, silent logger, errors only as exceptions."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from medsynth.errors import MedsynthError
from medsynth.processor import allowed_cores, processor_has

__all__ = ["import_onnxruntime", "runtime_versions", "session_options"]

_FATAL = 4


@cache
def import_onnxruntime() -> Any:
    """Import onnxruntime with its telemetry off.

    Every module of medsynth gets onnxruntime from here: it reports usage over the network on Linux and macOS too,
    unless the variable is set before the import.

    Raises:
        MedsynthError: onnxruntime is not installed or does not load.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ImportError as error:
        raise MedsynthError(
            f"onnxruntime cannot be imported ({error}). Install it again: "
            "pip install --force-reinstall 'onnxruntime-gpu~=1.31.0' (on macOS: 'onnxruntime~=1.31')."
        ) from error
    # What goes wrong arrives as an exception; the logger only repeats it on the user's terminal.
    onnxruntime.set_default_logger_severity(_FATAL)
    return onnxruntime


def session_options(**entries: str) -> Any:
    """Session options with a silent logger; ``entries`` are configuration keys of the ``session.`` family.

    int8 gives the same results on every x86 processor: without VNNI, onnxruntime's kernels for signed weights add pairs
    of products in 16 bits, which overflow. ``x64quantprecision`` takes other kernels.

    Where the process may use only some of the processors, there is one thread for each of them: left to itself,
    onnxruntime takes a thread for each core of the machine and ties it there, outside of what ``taskset`` allows.
    """
    options = import_onnxruntime().SessionOptions()
    options.log_severity_level = _FATAL
    ours = len(allowed_cores())
    if ours < (os.cpu_count() or 1):
        options.intra_op_num_threads = ours
    # Not where there is VNNI: the sums are the same there, and onnxruntime 1.31 takes the slower kernels all the same.
    if not processor_has("avx512_vnni", "avx_vnni"):
        options.add_session_config_entry("session.x64quantprecision", "1")
    for name, value in entries.items():
        options.add_session_config_entry(f"session.{name}", value)
    return options


def runtime_versions() -> dict[str, str]:
    """Versions of what computes a result: Python, medsynth-core, numpy, Pillow and onnxruntime."""
    versions = {"python": platform.python_version(), "onnxruntime": str(import_onnxruntime().__version__)}
    for distribution in ("medsynth-core", "numpy", "pillow"):
        try:
            versions[distribution] = version(distribution)
        except PackageNotFoundError:  # A source tree on the path, not installed.
            versions[distribution] = "not installed"
    return versions
