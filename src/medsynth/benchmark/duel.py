"""Two models against each other, in turns (A B B A ...) and each time in a fresh process.

What drifts during the measurement, such as the clock of the processor, meets both alike; what differs from process to
process, such as where the memory lies, is in the spread of the pairs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth.benchmark.compare import Comparison, judge
from medsynth.benchmark.machine import machine_facts
from medsynth.benchmark.report import SCHEMA
from medsynth.benchmark.statistics import median, median_interval
from medsynth.errors import ConfigError, MedsynthError
from medsynth.outputs import write_json

if TYPE_CHECKING:
    from medsynth.progress import OnProgress

__all__ = ["PAIRS", "Duel", "duel", "write_duels"]

PAIRS = 5
"""Fewer pairs do not carry an interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """What the turns gave.

    Attributes:
        comparison: B's speed over A's: the median over the pairs, with its bootstrap interval.
        pairs: Images in a second of A and B, pair by pair.
    """

    comparison: Comparison
    pairs: tuple[tuple[float, float], ...]


def duel(
    a: str | Path,
    b: str | Path,
    batch_size: int,
    device: str = "auto",
    *,
    pairs: int = PAIRS,
    on_progress: OnProgress | None = None,
) -> Duel:
    """Measure two models in turns (offline).

    Args:
        a: An ONNX file.
        b: Another one.
        batch_size: Images in one run.
        device: ``auto``, ``cpu``, ``cuda`` or ``tensorrt``.
        pairs: How often each is measured, at least :data:`PAIRS`.
        on_progress: Called after each process with (done, in all, no figures).

    Raises:
        ConfigError: Too few pairs.
        MedsynthError: A process failed; the line is its own.
    """
    if pairs < PAIRS:
        raise ConfigError(f"pairs must be at least {PAIRS}. Got {pairs}.")
    speeds: list[tuple[float, float]] = []
    reasons: dict[str, None] = {}
    for pair in range(pairs):
        speed = {}
        for turn, name in enumerate("AB" if pair % 2 == 0 else "BA"):
            row = _measure_in_fresh_process(Path(a if name == "A" else b), batch_size, device)
            speed[name] = float(row["images_per_second"])
            reasons |= dict.fromkeys(f"{name}: {reason}" for reason in row["reasons"])
            if on_progress is not None:
                on_progress(2 * pair + turn + 1, 2 * pairs, {})
        speeds.append((speed["A"], speed["B"]))
    ratios = [speed_b / speed_a for speed_a, speed_b in speeds]
    low, high = median_interval(ratios)
    comparison = Comparison(
        a=Path(a).name,
        b=Path(b).name,
        scenario="offline",
        scope="model",
        batch_size=batch_size,
        ratio=median(ratios),
        low=low,
        high=high,
        verdict="invalid" if reasons else judge(low, high, 0.0),
        reasons=tuple(reasons),
    )
    return Duel(comparison=comparison, pairs=tuple(speeds))


def _measure_in_fresh_process(path: Path, batch_size: int, device: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "timing.json"
        options = ["--batch-sizes", str(batch_size), "--device", device, "--out", str(out)]
        done = subprocess.run(
            [sys.executable, "-m", "medsynth", "benchmark", str(path), *options],
            capture_output=True,
            text=True,
            check=False,
        )
        if not out.exists():  # Wrong outputs fail too, but are measured and written.
            line = (done.stderr.strip().splitlines() or ["it said nothing"])[-1].removeprefix("medsynth: ")
            raise MedsynthError(f"measuring {path.name} failed: {line}")
        row: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))["models"][0]["batches"][0]
        return row


def write_duels(duels: Sequence[Duel], path: str | Path) -> None:
    """Write the JSON of duels: ``schema``, ``machine`` and ``duels``, the fields of :class:`Duel`; atomically."""
    write_json(path, {"schema": SCHEMA, "machine": machine_facts(), "duels": [asdict(each) for each in duels]})
