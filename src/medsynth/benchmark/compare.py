"""Whether one measurement is slower than another, beyond what chance and the machine do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medsynth.benchmark.report import SCHEMA
from medsynth.benchmark.statistics import ratio_interval
from medsynth.errors import ConfigError

__all__ = ["Comparison", "compare", "judge"]

NOISE = 0.05
"""By how much the speed of one model differs between two runs on one quiet machine, at worst."""

_KEY = ("scenario", "scope", "batch_size")
_NEEDED = (*_KEY, "latencies_ms", "valid", "reasons")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Speed of B over speed of A, for one scenario, scope and batch size.

    Attributes:
        a: Model file of A.
        b: Model file of B.
        scenario: ``offline``, ``single-stream`` or ``server``.
        scope: ``model`` or ``end-to-end``.
        batch_size: Images in one run.
        ratio: Above 1: B is faster.
        low: Lower end of its 95 % bootstrap interval.
        high: Upper end.
        verdict: ``faster``, ``same``, ``slower``; ``invalid`` where a measurement is.
        reasons: Why a measurement is invalid.
    """

    a: str
    b: str
    scenario: str
    scope: str
    batch_size: int
    ratio: float
    low: float
    high: float
    verdict: Literal["faster", "same", "slower", "invalid"]
    reasons: tuple[str, ...] = ()


def compare(a: str | Path, b: str | Path, *, noise: float = NOISE) -> tuple[Comparison, ...]:
    """Compare two files that ``medsynth benchmark`` wrote, row by row.

    Rows belong together that have the same scenario, arrival rate (``server``), scope and batch size.

    The interval resamples stretches of consecutive runs, because neighbours are alike; what differs between whole runs
    it cannot see, hence ``noise``. :func:`medsynth.benchmark.duel.duel` measures that as well.

    Args:
        a: The one to hold B against.
        b: The one in question.
        noise: B is slower if all of the interval lies below 1 - ``noise``, faster if all lies above 1 + ``noise``.

    Returns:
        One comparison for each row that both have. Where each file holds one model on one device these are compared,
        else models of the same file name on the same device.

    Raises:
        ConfigError: A file is no benchmark, or they have no row in common.
    """
    models_a, models_b = _read(Path(a)), _read(Path(b))
    single = len(models_a) == len(models_b) == 1
    found: list[Comparison] = []
    for model_a in models_a:
        for model_b in models_b:
            if single or _names(model_a) == _names(model_b):
                found += _rows(model_a, model_b, noise)
    if not found:
        raise ConfigError(
            f"{a} and {b} have no row in common (same model file, device, scenario, arrival rate and batch size). "
            "Measure both with the same --scenario, --rate and --batch-sizes."
        )
    return tuple(found)


def _rows(a: Mapping[str, Any], b: Mapping[str, Any], noise: float) -> Iterator[Comparison]:
    others = {_identity(row): row for row in b["batches"]}
    for row in a["batches"]:
        other = others.get(_identity(row))
        if other is not None:
            ratio, low, high = ratio_interval(row["latencies_ms"], other["latencies_ms"])
            yield Comparison(
                a=a["model"]["file"],
                b=b["model"]["file"],
                **{key: row[key] for key in _KEY},
                ratio=ratio,
                low=low,
                high=high,
                verdict=judge(low, high, noise) if row["valid"] and other["valid"] else "invalid",
                reasons=tuple(f"{name}: {reason}" for name, r in (("A", row), ("B", other)) for reason in r["reasons"]),
            )


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two rows must share: how long an image waits depends on how many arrive."""
    return *(row[key] for key in _KEY), row.get("rate")


def judge(low: float, high: float, noise: float) -> Literal["faster", "same", "slower"]:
    """What an interval of B's speed over A's says."""
    if high < 1 - noise:
        return "slower"
    return "faster" if low > 1 + noise else "same"


def _names(model: Mapping[str, Any]) -> tuple[Any, Any]:
    return model["model"]["file"], model["device"]


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        models: list[dict[str, Any]] = content["models"]
        schema = content["schema"]
        if schema == SCHEMA:
            for model in models:
                _ = _names(model), [[row[key] for key in _NEEDED] for row in model["batches"]]
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: is not a file that medsynth benchmark wrote.") from error
    if schema != SCHEMA:
        raise ConfigError(f"{path}: has schema {schema}; this medsynth compares schema {SCHEMA}. Measure again.")
    for row in (row for model in models for row in model["batches"]):
        if not row["latencies_ms"]:
            raise ConfigError(
                f"{path}: latencies_ms must hold the latency of every timed run. It is empty for {row['scope']} at "
                f"batch {row['batch_size']}. Measure again."
            )
    return models
