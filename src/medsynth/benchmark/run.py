"""Measuring a model."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth.artifact.contract import latent_length
from medsynth.artifact.runtime import import_onnxruntime
from medsynth.benchmark.inputs import Batch, InputPool
from medsynth.benchmark.machine import load_average
from medsynth.benchmark.report import BatchResult, BenchmarkReport
from medsynth.benchmark.statistics import is_stable, median, upper_bound
from medsynth.errors import ConfigError
from medsynth.infer.device import resolve_device
from medsynth.infer.session import Session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.progress import OnProgress

__all__ = ["Rules", "benchmark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When measuring may stop.

    Attributes:
        min_seconds: Least sum of timed runs.
        min_runs: Least number of timed runs.
        max_warmup_seconds: Warm-up that is not stable by then makes the result invalid.
        warmup_runs: Runs that are looked at for stability: three windows whose medians lie within 10 %.
    """

    min_seconds: float = 3.0
    min_runs: int = 10
    max_warmup_seconds: float = 20.0
    warmup_runs: int = 6


def benchmark(
    path: str | Path,
    batch_sizes: Sequence[int] = (1, 8, 32),
    device: str = "auto",
    *,
    rules: Rules | None = None,
    on_progress: OnProgress | None = None,
) -> BenchmarkReport:
    """Time a classifier or a generator.

    Args:
        path: An ONNX file that medsynth wrote.
        batch_sizes: Images in one run, each at least 1.
        device: ``auto``, ``cpu``, ``cuda`` or ``tensorrt``.
        rules: When measuring may stop.
        on_progress: Called after each batch size with (done, in all, no figures).

    Returns:
        One result for each batch size; a result that cannot be trusted says so and why.

    Raises:
        ArtifactError: The file is missing, corrupt, not ours, or has no golden inputs.
        ConfigError: A batch size below 1, or no such device.
        DeviceError: The device does not work here.
    """
    if not batch_sizes or min(batch_sizes) < 1:
        raise ConfigError(f"batch sizes must be at least 1. Got {', '.join(map(str, batch_sizes)) or 'none'}.")
    rules = rules or Rules()
    import_onnxruntime()
    device = resolve_device(device)
    before = load_average()
    began = time.perf_counter()
    session = Session(path, device)
    loaded = time.perf_counter() - began
    latent = latent_length(session.inputs) if session.metadata.task == "generator" else 0
    pool = InputPool(session.metadata, latent=latent)
    results = []
    for size in batch_sizes:
        results.append(measure(session.run, pool, size, rules))
        if on_progress is not None:
            on_progress(len(results), len(batch_sizes), {})
    facts = session.facts()
    facts["model"]["sha256"] = hashlib.sha256(session.path.read_bytes()).hexdigest()
    return BenchmarkReport(
        facts=facts, load_seconds=loaded, load_average=(before, load_average()), batches=tuple(results)
    )


def measure(
    run: Callable[[Any], dict[str, NDArray[Any]]],
    pool: InputPool,
    size: int,
    rules: Rules,
    clock: Callable[[], float] = time.perf_counter,
) -> BatchResult:
    """Time one batch size; inputs are made and outputs are checked while the clock is stopped.

    Args:
        run: From feeds to outputs on the host.
        pool: Where the batches come from.
        size: Images in one run.
        rules: When to stop.
        clock: Seconds.
    """
    worst, checked = 0.0, 0

    def timed(batch: Batch) -> float:
        nonlocal worst, checked
        began = clock()
        outputs = run(batch.feeds)
        seconds = clock() - began
        worst = max(worst, pool.difference(batch, outputs))
        checked += len(batch.slots)
        return seconds

    first = timed(pool.batch(size))
    warmup: list[float] = []
    spent, stable = 0.0, False
    while not stable and spent < rules.max_warmup_seconds:
        warmup.append(timed(pool.batch(size)))
        spent += warmup[-1]
        stable = len(warmup) >= rules.warmup_runs and is_stable(warmup[-rules.warmup_runs :])
    latencies: list[float] = []
    seconds = 0.0
    while len(latencies) < rules.min_runs or seconds < rules.min_seconds:
        latencies.append(timed(pool.batch(size)))
        seconds += latencies[-1]
    reasons = []
    if not stable:
        reasons.append(f"not stable after {len(warmup)} warm-up runs")
    if not is_stable(latencies):
        reasons.append("the first, middle and last third of the runs differ by more than 10 %")
    if worst > pool.tolerance:
        reasons.append(f"outputs differ from the golden ones by {worst:.3g} (allowed {pool.tolerance:g})")
    bounds = {percentile: upper_bound(latencies, percentile) for percentile in (90, 95, 99)}
    in_ms = {percentile: None if bound is None else 1000 * bound for percentile, bound in bounds.items()}
    return BatchResult(
        batch_size=size,
        valid=not reasons,
        reasons=tuple(reasons),
        first_run_seconds=first,
        warmup_runs=len(warmup),
        runs=len(latencies),
        seconds=seconds,
        images_per_second=size * len(latencies) / seconds,
        median_ms=1000 * median(latencies),
        p90_ms=in_ms[90],
        p95_ms=in_ms[95],
        p99_ms=in_ms[99],
        checked_rows=checked,
        largest_difference=worst,
        tolerance=pool.tolerance,
    )
