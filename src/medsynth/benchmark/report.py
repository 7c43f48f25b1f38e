"""What a benchmark found, and its JSON, whose keys are listed on the reference page of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth.benchmark.machine import machine_facts
from medsynth.outputs import write_json

if TYPE_CHECKING:
    from medsynth.benchmark.conditions import Conditions
    from medsynth.benchmark.load import Other

__all__ = ["SCHEMA", "BatchResult", "BenchmarkReport", "Unmeasured", "write_reports"]

SCHEMA = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """Timing of one batch size; time ends when the outputs are on the host.

    Attributes:
        scenario: ``offline``, ``single-stream`` or ``server``.
        scope: ``model``: from prepared pixels; ``end-to-end``: from files.
        batch_size: Images in one run.
        valid: Whether the numbers may be quoted.
        reasons: Why not.
        first_run_seconds: The first run with this batch size, before any warm-up.
        warmup_runs: Runs until the latency was stable; not counted below.
        runs: Runs that were timed, every one of them counted.
        seconds: Their sum.
        images_per_second: Images over that sum; end to end without the golden ones, which are not decoded.
        median_ms: Median latency of one run, milliseconds.
        p90_ms: Upper bound of the 90th percentile (99 % confidence); ``None``: fewer than 64 runs.
        p95_ms: Likewise; ``None``: fewer than 130.
        p99_ms: Likewise; ``None``: fewer than 662.
        checked_rows: Golden rows whose outputs were compared while timing.
        largest_difference: Of these from what the file records.
        tolerance: How large it may be.
        foreign_cores: Processors' worth of time that other processes used; ``None``: not known.
        other_processes: The busiest of them.
        before: The machine before the first run.
        after: The machine right after the last one.
        latencies_ms: Latency of every timed run, in order.
        rate: Arrivals in a second (``server``).
        target_ms: What the 99th percentile had to keep (``server``).
        share_of_peak: Counted operations in a second over the machine's peak; ``None``: not known.
    """

    scenario: str
    scope: str
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
    other_processes: tuple[Other, ...]
    before: Conditions
    after: Conditions
    latencies_ms: tuple[float, ...]
    rate: float | None = None
    target_ms: float | None = None
    share_of_peak: float | None = None

    @property
    def outputs_agree(self) -> bool:
        """Whether the model computes what its file records."""
        return self.largest_difference <= self.tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmeasured:
    """What was asked for and could not be measured.

    Attributes:
        model: Name of the file; ``None``: the device does not work, whatever the model.
        device: On which it was tried.
        batch_size: For which the memory did not suffice; ``None``: the device does not work at all.
        reason: Why, and how to mend it.
    """

    model: str | None
    device: str
    batch_size: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkReport:
    """Timing of one model on one device.

    Attributes:
        facts: Model, device, provider and its options, nodes per provider, versions.
        threads: That run the model on the CPU: those that opening it started, and the caller's; ``None``: not known.
        load_seconds: From the file to a session that can run, onnxruntime itself imported before.
        peak_memory_mib: Most memory that the process had at once, this model open; of a GPU ``after`` in the rows says.
        gflop_per_image: Counted in convolutions and matrix products; ``None``: cannot be counted.
        peak_gflop_per_second: The better of a large matrix product and a large convolution in the same run and
            precision; ``None``: no probe for this precision.
        batches: One result for each batch size and scope.
        unmeasured: Batch sizes for which memory ran out.
    """

    facts: Mapping[str, Any]
    threads: int | None
    load_seconds: float
    peak_memory_mib: float | None
    gflop_per_image: float | None
    peak_gflop_per_second: float | None
    batches: tuple[BatchResult, ...]
    unmeasured: tuple[Unmeasured, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """One entry of ``models`` in the JSON."""
        return {
            **self.facts,
            "threads": self.threads,
            "load_seconds": self.load_seconds,
            "peak_memory_mib": self.peak_memory_mib,
            "gflop_per_image": self.gflop_per_image,
            "peak_gflop_per_second": self.peak_gflop_per_second,
            "batches": [_finite(asdict(result)) for result in self.batches],
        }

    def write(self, path: str | Path) -> None:
        """Write the JSON atomically."""
        write_reports([self], path)


def write_reports(reports: Sequence[BenchmarkReport], path: str | Path, unmeasured: Sequence[Unmeasured] = ()) -> None:
    """Write the JSON of several models, measured on this machine, atomically."""
    missing = [*unmeasured, *(each for report in reports for each in report.unmeasured)]
    write_json(
        path,
        {
            "schema": SCHEMA,
            "machine": machine_facts(),
            "models": [report.to_dict() for report in reports],
            "unmeasured": [asdict(each) for each in missing],
        },
    )


def _finite(fields: dict[str, Any]) -> dict[str, Any]:
    """Outputs that are not numbers differ infinitely, which JSON cannot say: ``null``."""
    if fields["largest_difference"] == float("inf"):
        fields["largest_difference"] = None
    return fields
