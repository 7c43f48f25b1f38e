"""Measuring a model."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from medsynth.artifact.contract import latent_length
from medsynth.artifact.runtime import import_onnxruntime
from medsynth.benchmark.endtoend import Files, FileStream, SingleFiles
from medsynth.benchmark.inputs import InputPool
from medsynth.benchmark.machine import count_threads, forget_peak_memory, peak_memory_mib
from medsynth.benchmark.measure import measure, measure_server
from medsynth.benchmark.peak import count_flop, judged, measure_peak
from medsynth.benchmark.reference import ReferencePool
from medsynth.benchmark.report import BatchResult, BenchmarkReport, Unmeasured
from medsynth.benchmark.trial import Rules, Scenario, Subject
from medsynth.errors import ConfigError, MemoryRanOutError
from medsynth.infer.device import resolve_device
from medsynth.infer.model import OpenModel
from medsynth.infer.session import Session, described

if TYPE_CHECKING:
    from medsynth.progress import OnProgress

__all__ = ["benchmark"]

UNKNOWN = "not known"
_DESCRIBED = ("task", "content_hash", "precision")


def benchmark(
    path: str | Path,
    batch_sizes: Sequence[int] = (1, 8, 32),
    device: str = "auto",
    *,
    images: str | Path | None = None,
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
        images: For a classifier of ours: a folder, CSV or file as ``infer`` takes them. Its images (256 of them at
            most) are what the model is fed with, and each row is measured end to end as well, from files to results.
        scenario: ``offline`` (throughput), ``single-stream`` (latency of one image after the other) or ``server``
            (single images that arrive at random).
        rate: For ``server``: arrivals in a second.
        target_ms: For ``server``: what the 99th percentile must keep.
        image_size: For a foreign model: length of free axes besides the batch.
        rules: When measuring may stop.
        on_progress: Called after each row with (done, in all, no figures).

    Returns:
        One result for each batch size; a result that cannot be trusted says so and why.

    Raises:
        ArtifactError: The file is missing or corrupt, or is ours and breaks its contract.
        ConfigError: A batch size below 1, no such device or scenario, ``server`` without rate and target, or images for
            a model that is no classifier of ours.
        DataError: There are no images, or none can be read.
        DeviceError: The device does not work here.
        MemoryRanOutError: For every batch size.
    """
    _check(batch_sizes, scenario, rate, target_ms)
    rules = rules or Rules()
    import_onnxruntime()
    forget_peak_memory()
    model, loaded, threads = _open(path, resolve_device(device))
    peak_memory = peak_memory_mib()
    description = described(model.metadata) if isinstance(model, Session) else dict.fromkeys(_DESCRIBED, UNKNOWN)
    flop = count_flop(model.path, image_size)
    precision = "fp32" if description["precision"] == UNKNOWN else description["precision"]
    peak = None if flop is None else measure_peak(model.device, precision)
    forget_peak_memory()  # Counting and probing needed some that is not the model's.
    subjects = list(_subjects(model, image_size, images, scenario))
    results: list[BatchResult] = []
    unmeasured: list[Unmeasured] = []
    rows = [(size, subject) for size in (batch_sizes if scenario == "offline" else (1,)) for subject in subjects]
    for done, (size, subject) in enumerate(rows, 1):
        try:
            if scenario == "server":
                result = measure_server(subject, rules, rate=rate or 0.0, target_ms=target_ms or 0.0)
            else:
                result = measure(subject, size, rules, scenario=scenario)
            results.append(judged(result, flop, peak))
        except MemoryRanOutError as error:
            reason = str(error).removeprefix(f"{model.path}: ")
            unmeasured.append(Unmeasured(model=model.path.name, device=model.device, batch_size=size, reason=reason))
            if len(unmeasured) == len(rows):
                raise
        if on_progress is not None:
            on_progress(done, len(rows), {})
    peak_memory = max((used for used in (peak_memory, peak_memory_mib()) if used is not None), default=None)
    facts = model.facts()
    with model.path.open("rb") as stream:
        facts["model"].update(description, sha256=hashlib.file_digest(stream, "sha256").hexdigest())
    return BenchmarkReport(
        facts=facts,
        threads=threads,
        load_seconds=loaded,
        peak_memory_mib=peak_memory,
        gflop_per_image=None if flop is None else flop / 1e9,
        peak_gflop_per_second=None if peak is None else peak / 1e9,
        batches=tuple(results),
        unmeasured=tuple(unmeasured),
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


def _open(path: str | Path, device: str) -> tuple[OpenModel, float, int | None]:
    """The model, the seconds that opening took, and the threads that run it."""
    before = count_threads()
    began = time.perf_counter()
    model = OpenModel(path, device)
    seconds = time.perf_counter() - began
    after = count_threads()
    threads = None if before is None or after is None else after - before + 1
    if model.metadata_text is not None:
        del model  # Its memory must not count twice.
        # As infer and generate open it, with the options that are best on a GPU; finding them is not loading.
        model = Session(path, device)
    return model, seconds, threads


def _subjects(
    model: OpenModel, image_size: int | None, images: str | Path | None, scenario: Scenario
) -> Iterator[Subject]:
    """The model alone and, with images, the way from files to results."""
    on_gpu = model.device != "cpu"
    files = None if images is None else Files(images, model)
    if isinstance(model, Session):
        latent = latent_length(model.inputs) if model.metadata.task == "generator" else 0
        pool = InputPool(model.metadata, latent=latent, images=None if files is None else files.decoded)
        yield Subject(model.run, pool, on_gpu=on_gpu)
    else:
        yield Subject(model.run, ReferencePool(model, image_size=image_size), on_gpu=on_gpu)
    if files is not None:
        served = FileStream(files) if scenario == "offline" else SingleFiles(files)
        yield Subject(served.run, served, "end-to-end", on_gpu)
