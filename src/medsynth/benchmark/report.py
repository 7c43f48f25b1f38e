"""What a benchmark found, and its JSON.

Schema 1: ``schema``, ``machine`` (processor, cores, memory, system) and ``models``: for each ``model`` (file, sha256,
content_hash, task, precision), ``device``, ``provider``, ``nodes`` (per provider), ``versions``, ``load_seconds``,
``load_average`` (before, after), ``peak_memory_mib`` (of the process), ``gflop_per_image``,
``peak_gflop_per_second`` and ``batches``: the fields of :class:`BatchResult`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth.benchmark.machine import machine_facts
from medsynth.outputs import write_json

if TYPE_CHECKING:
    from medsynth.benchmark.duel import Duel

__all__ = ["SCHEMA", "BatchResult", "BenchmarkReport", "write_duels", "write_reports"]

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """Timing of one batch size; time ends when the outputs are on the host.

    Attributes:
        scenario: ``offline``, ``single-stream`` or ``server``.
        batch_size: Images in one run.
        valid: Whether the numbers may be quoted.
        reasons: Why not.
        first_run_seconds: The first run with this batch size, before any warm-up.
        warmup_runs: Runs until the latency was stable; not counted below.
        runs: Runs that were timed, every one of them counted.
        seconds: Their sum.
        images_per_second: Images over that sum.
        median_ms: Median latency of one run, milliseconds.
        p90_ms: Upper bound of the 90th percentile (99 % confidence); ``None``: fewer than 64 runs.
        p95_ms: Likewise; ``None``: fewer than 130.
        p99_ms: Likewise; ``None``: fewer than 662.
        checked_rows: Golden rows whose outputs were compared while timing.
        largest_difference: Of these from what the file records.
        tolerance: How large it may be.
        foreign_cores: Processors' worth of time that other processes used; ``None``: not known.
        latencies_ms: Latency of every timed run, in order.
        rate: Arrivals in a second (``server``).
        target_ms: What the 99th percentile had to keep (``server``).
        share_of_peak: Counted operations in a second over the machine's peak; ``None``: not known.
    """

    scenario: str
    batch_size: int
    valid: bool
    reasons: tuple[str, ...]
    first_run_seconds: float
    warmup_runs: int
    runs: int
    seconds: float
    images_per_second: float
    median_ms: float
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    checked_rows: int
    largest_difference: float
    tolerance: float
    foreign_cores: float | None
    latencies_ms: tuple[float, ...]
    rate: float | None = None
    target_ms: float | None = None
    share_of_peak: float | None = None

    @property
    def outputs_agree(self) -> bool:
        """Whether the model computes what its file records."""
        return self.largest_difference <= self.tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkReport:
    """Timing of one model on one device.

    Attributes:
        facts: Model, device, provider, nodes per provider, versions.
        load_seconds: From the file to a session that can run, onnxruntime itself imported before.
        load_average: Processes that wanted to run, before and after.
        peak_memory_mib: Most memory that the process had at once.
        gflop_per_image: Counted in convolutions and matrix products; ``None``: cannot be counted.
        peak_gflop_per_second: The better of a large matrix product and a large convolution in the same run and
            precision; ``None``: no probe for this precision.
        batches: One result for each batch size.
    """

    facts: Mapping[str, Any]
    load_seconds: float
    load_average: tuple[float | None, float | None]
    peak_memory_mib: float | None
    gflop_per_image: float | None
    peak_gflop_per_second: float | None
    batches: tuple[BatchResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """One entry of ``models`` in the JSON."""
        return {
            **self.facts,
            "load_seconds": self.load_seconds,
            "load_average": list(self.load_average),
            "peak_memory_mib": self.peak_memory_mib,
            "gflop_per_image": self.gflop_per_image,
            "peak_gflop_per_second": self.peak_gflop_per_second,
            "batches": [_finite(asdict(result)) for result in self.batches],
        }

    def write(self, path: str | Path) -> None:
        """Write the JSON atomically."""
        write_reports([self], path)


def write_reports(reports: Sequence[BenchmarkReport], path: str | Path) -> None:
    """Write the JSON of several models, measured on this machine, atomically."""
    write_json(path, {"schema": SCHEMA, "machine": machine_facts(), "models": [report.to_dict() for report in reports]})


def write_duels(duels: Sequence[Duel], path: str | Path) -> None:
    """Write the JSON of duels: ``schema``, ``machine`` and ``duels``, the fields of :class:`Duel`; atomically."""
    write_json(path, {"schema": SCHEMA, "machine": machine_facts(), "duels": [asdict(each) for each in duels]})


def _finite(fields: dict[str, Any]) -> dict[str, Any]:
    """Outputs that are not numbers differ infinitely, which JSON cannot say: ``null``."""
    if fields["largest_difference"] == float("inf"):
        fields["largest_difference"] = None
    return fields
