"""Measuring a model."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from medsynth.artifact.contract import latent_length
from medsynth.artifact.runtime import import_onnxruntime
from medsynth.benchmark.inputs import InputPool, Pool, ReferencePool
from medsynth.benchmark.machine import load_average, peak_memory_mib
from medsynth.benchmark.measure import Rules, Scenario, measure, measure_server
from medsynth.benchmark.peak import count_flop, judged, measure_peak
from medsynth.benchmark.report import BatchResult, BenchmarkReport
from medsynth.errors import ConfigError
from medsynth.infer.device import resolve_device
from medsynth.infer.model import OpenModel
from medsynth.infer.session import Session, described

if TYPE_CHECKING:
    from medsynth.progress import OnProgress

__all__ = ["benchmark"]

UNKNOWN = "not known"


def benchmark(
    path: str | Path,
    batch_sizes: Sequence[int] = (1, 8, 32),
    device: str = "auto",
    *,
    scenario: Scenario = "offline",
    rate: float | None = None,
    target_ms: float | None = None,
    image_size: int | None = None,
    rules: Rules | None = None,
    on_progress: OnProgress | None = None,
) -> BenchmarkReport:
    """Time any ONNX model.

    Args:
        path: An ONNX file: a classifier or generator of ours, or any other.
        batch_sizes: Images in one run, each at least 1; for ``offline``, the other scenarios run single images.
        device: ``auto``, ``cpu``, ``cuda`` or ``tensorrt``.
        scenario: ``offline`` (throughput), ``single-stream`` (latency of one image after the other) or ``server``
            (single images that arrive at random).
        rate: For ``server``: arrivals in a second.
        target_ms: For ``server``: what the 99th percentile must keep.
        image_size: For a foreign model: length of free axes besides the batch.
        rules: When measuring may stop.
        on_progress: Called after each batch size with (done, in all, no figures).

    Returns:
        One result for each batch size; a result that cannot be trusted says so and why.

    Raises:
        ArtifactError: The file is missing or corrupt, or is ours and breaks its contract.
        ConfigError: A batch size below 1, no such device or scenario, or ``server`` without rate and target.
        DeviceError: The device does not work here.
    """
    _check(batch_sizes, scenario, rate, target_ms)
    rules = rules or Rules()
    import_onnxruntime()
    device = resolve_device(device)
    before = load_average()
    began = time.perf_counter()
    model = OpenModel(path, device)
    loaded = time.perf_counter() - began
    if model.metadata_text is not None:
        model = Session(path, device)  # As infer and generate open it, with the options that are best on a GPU.
    pool, description = _prepare(model, image_size)
    precision = description["precision"]
    flop = count_flop(model.path, image_size)
    peak = None if flop is None else measure_peak(device, "fp32" if precision == UNKNOWN else precision)
    results: list[BatchResult] = []
    sizes = batch_sizes if scenario == "offline" else (1,)
    for size in sizes:
        if scenario == "server":
            results.append(measure_server(model.run, pool, rules, rate=rate or 0.0, target_ms=target_ms or 0.0))
        else:
            results.append(measure(model.run, pool, size, rules, scenario=scenario))
        results[-1] = judged(results[-1], flop, peak)
        if on_progress is not None:
            on_progress(len(results), len(sizes), {})
    facts = model.facts()
    facts["model"].update(description, sha256=hashlib.sha256(model.path.read_bytes()).hexdigest())
    return BenchmarkReport(
        facts=facts,
        load_seconds=loaded,
        load_average=(before, load_average()),
        peak_memory_mib=peak_memory_mib(),
        gflop_per_image=None if flop is None else flop / 1e9,
        peak_gflop_per_second=None if peak is None else peak / 1e9,
        batches=tuple(results),
    )


def _check(batch_sizes: Sequence[int], scenario: str, rate: float | None, target_ms: float | None) -> None:
    if not batch_sizes or min(batch_sizes) < 1:
        raise ConfigError(f"batch sizes must be at least 1. Got {', '.join(map(str, batch_sizes)) or 'none'}.")
    if scenario not in get_args(Scenario):
        raise ConfigError(f"scenario must be one of {', '.join(get_args(Scenario))}. Got {scenario!r}.")
    given = {"rate": rate, "target-ms": target_ms}
    for name, value in given.items():
        if scenario == "server" and (value is None or value <= 0):
            raise ConfigError(f"the scenario server needs --{name}, a number above 0. Got {value}.")
        if scenario != "server" and value is not None:
            raise ConfigError(f"--{name} belongs to the scenario server. Got the scenario {scenario}.")


def _prepare(model: OpenModel, image_size: int | None) -> tuple[Pool, dict[str, Any]]:
    if not isinstance(model, Session):
        return ReferencePool(model, image_size=image_size), {"task": UNKNOWN, "precision": UNKNOWN}
    latent = latent_length(model.inputs) if model.metadata.task == "generator" else 0
    return InputPool(model.metadata, latent=latent), described(model.metadata)
