"""Options of the CUDA provider, tried once for each model, GPU and driver, and kept.

Which convolution search is best differs between models by a factor of four either way, and NHWC, TF32 and CUDA graphs
help on some GPUs and models only, so they are measured. Options count only if the golden outputs that travel in the
artefact come out within its tolerance; that decides about TF32 too, whose products have ten bits. The choice is kept as
JSON in the user's cache folder (``XDG_CACHE_HOME``, else ``~/.cache``) under ``medsynth``.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medsynth.artifact.golden import golden_values, largest_difference, remake_inputs
from medsynth.artifact.runtime import import_onnxruntime
from medsynth.errors import ArtifactError, DeviceError, MedsynthError, OutputError
from medsynth.infer.batching import BatchRunner
from medsynth.outputs import write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.artifact import Golden, Metadata

__all__ = ["CANDIDATES", "choose", "gpu_identity", "tuned_options"]

Options = Mapping[str, str]
Run = Callable[[Mapping[str, "NDArray[Any]"]], dict[str, "NDArray[Any]"]]

CANDIDATES: tuple[Options, ...] = tuple(
    {
        "cudnn_conv_use_max_workspace": "1",
        "cudnn_conv_algo_search": search,
        "prefer_nhwc": nhwc,
        "use_tf32": tf32,
        "enable_cuda_graph": graph,
    }
    for search, nhwc, tf32, graph in itertools.product(("HEURISTIC", "EXHAUSTIVE"), "01", "01", "01")
)
"""What is tried. A CUDA graph needs buffers at fixed addresses, which :mod:`medsynth.infer.binding` gives it."""

_BATCH = 16
_WARMUP, _RUNS = 3, 9


def tuned_options(metadata: Metadata, latent: int, open_with: Callable[[Options], Run]) -> Options:
    """The best options for a model on this GPU: kept ones, or those that are found now and kept.

    Args:
        metadata: Of an artefact; without golden outputs there is nothing to check options by.
        latent: Length of a generator's noise row, 0 for a classifier.
        open_with: Opens the model with some options.

    Returns:
        Provider options; none where the GPU is not known, or where no candidate is better than the provider's own.

    Raises:
        DeviceError: Not even with the provider's own options the golden outputs come out.
        MedsynthError: The model does not run with them.
    """
    gpu = gpu_identity()
    if gpu is None or metadata.golden is None:
        return {}
    identity = {"model": metadata.content_hash, "gpu": gpu, "onnxruntime": str(import_onnxruntime().__version__)}
    name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
    kept = _cache_folder() / f"{name}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        return {str(key): str(value) for key, value in json.loads(kept.read_text(encoding="utf-8"))["options"].items()}
    try:
        inputs = remake_inputs(metadata, latent=latent)
    except ArtifactError:  # Another version's recipe: verify says so, serving goes on.
        return {}
    options = choose(open_with, inputs, metadata)
    with suppress(OutputError):  # It is found again next time.
        write_json(kept, {**identity, "options": dict(options)})
    return options


def choose(
    open_with: Callable[[Options], Run],
    inputs: Mapping[str, NDArray[Any]],
    metadata: Metadata,
    clock: Callable[[], float] = time.perf_counter,
) -> Options:
    """The fastest candidate whose outputs are the golden ones; none where only the provider's own options give them.

    Args:
        open_with: Opens the model with some options.
        inputs: The golden inputs.
        metadata: With the golden outputs and their tolerance.
        clock: Seconds.

    Raises:
        DeviceError: The provider's own options do not give them either.
        MedsynthError: The model does not run with those.
    """
    golden = metadata.golden
    assert golden is not None
    wanted = golden_values(metadata)
    repeats = -(-_BATCH // golden.count)
    feeds = {name: np.concatenate([values] * repeats) for name, values in inputs.items()}
    found: list[tuple[float, int]] = []
    for place, options in enumerate(CANDIDATES):
        try:
            run = open_with(options)
            seconds = [_seconds(run, feeds, clock) for _ in range(_WARMUP + _RUNS)][_WARMUP:]
            difference = _difference(run(feeds), golden, wanted)
        except MedsynthError:  # This GPU or model does not take them, or memory ran out.
            continue
        if difference <= golden.tolerance:
            found.append((statistics.median(seconds), place))
    if found:
        return CANDIDATES[min(found)[1]]
    # As few rows at once as it takes: this is no measurement.
    ran = BatchRunner(open_with({}), None).run(inputs, golden.count)
    difference = _difference(ran.outputs, golden, wanted)
    if difference > golden.tolerance:
        raise DeviceError(
            f"on this GPU the model's answers differ from the file's golden outputs by {difference:.3g}, at most "
            f"{golden.tolerance:g} is allowed. Use --device cpu, or another driver or onnxruntime; medsynth verify "
            "tells whether the file itself is sound."
        )
    return {}


def _difference(outputs: Mapping[str, NDArray[Any]], golden: Golden, wanted: NDArray[np.float64]) -> float:
    """From the golden outputs; infinite where the model has no output of that name."""
    return largest_difference(outputs.get(golden.output, np.empty(0))[: golden.count], wanted)


def _seconds(run: Run, feeds: Mapping[str, NDArray[Any]], clock: Callable[[], float]) -> float:
    began = clock()
    run(feeds)
    return clock() - began


def gpu_identity() -> str | None:
    """Name and driver of the first GPU; ``None`` where the driver's tool does not say."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(done.stdout.strip().splitlines()), None)


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medsynth"
