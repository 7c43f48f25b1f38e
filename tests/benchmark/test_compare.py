from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from medsynth.benchmark import SCHEMA, benchmark, compare
from medsynth.benchmark.trial import Rules
from medsynth.cli.main import run
from medsynth.errors import ConfigError

if TYPE_CHECKING:
    from types import ModuleType


def latencies(milliseconds: float, *, seed: int = 0, count: int = 200, spread: float = 0.02) -> list[float]:
    return (milliseconds * np.random.default_rng(seed).normal(1, spread, count)).tolist()


def write(
    path: Path, rows: dict[int, list[float]], *, model: str = "m.onnx", valid: bool = True, schema: int = SCHEMA
) -> Path:
    batches = [
        {
            "scenario": "offline",
            "scope": "model",
            "batch_size": size,
            "latencies_ms": values,
            "valid": valid,
            "reasons": [] if valid else ["the machine is busy"],
        }
        for size, values in rows.items()
    ]
    path.write_text(
        json.dumps({"schema": schema, "models": [{"model": {"file": model}, "device": "cpu", "batches": batches}]})
    )
    return path


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "same"), (1.03, "same"), (0.98, "same"), (1.2, "slower"), (0.8, "faster")]
)
def test_the_verdict(tmp_path: Path, factor: float, verdict: str) -> None:
    a = write(tmp_path / "a.json", {1: latencies(10)})
    b = write(tmp_path / "b.json", {1: latencies(10 * factor, seed=1)})
    (row,) = compare(a, b)
    assert row.verdict == verdict
    assert row.ratio == pytest.approx(1 / factor, rel=0.01)
    assert row.low <= row.ratio <= row.high


def test_few_wild_runs_prove_nothing(tmp_path: Path) -> None:
    a = write(tmp_path / "a.json", {1: latencies(10, count=10, spread=0.3)})
    b = write(tmp_path / "b.json", {1: latencies(11, count=10, spread=0.3, seed=5)})
    (row,) = compare(a, b)
    assert row.high - row.low > 0.2
    assert row.verdict == "same"


def test_rows_are_matched(tmp_path: Path) -> None:
    a = write(tmp_path / "a.json", {1: latencies(10), 8: latencies(70)})
    b = write(tmp_path / "b.json", {8: latencies(70), 32: latencies(280)}, model="other.onnx")
    (row,) = compare(a, b)
    assert (row.a, row.b, row.batch_size) == ("m.onnx", "other.onnx", 8)
    with pytest.raises(ConfigError, match="have no row in common"):
        compare(write(tmp_path / "c.json", {2: latencies(1)}), b)


def serve(path: Path, rates: dict[float, list[float]]) -> Path:
    """A file of the scenario server."""
    (model,) = json.loads(write(path, {1: []}).read_text())["models"]
    (row,) = model.pop("batches")
    rows = [row | {"scenario": "server", "rate": rate, "latencies_ms": values} for rate, values in rates.items()]
    path.write_text(json.dumps({"schema": SCHEMA, "models": [model | {"batches": rows}]}))
    return path


def test_rows_of_different_arrival_rates_do_not_match(tmp_path: Path) -> None:
    slow = serve(tmp_path / "slow.json", {10: latencies(10)})
    fast = serve(tmp_path / "fast.json", {40: latencies(30)})
    with pytest.raises(ConfigError, match=r"no row in common .* arrival rate .* --rate"):
        compare(slow, fast)
    (row,) = compare(slow, serve(tmp_path / "both.json", {10.0: latencies(10), 40.0: latencies(30)}))
    assert row.verdict == "same"


@pytest.mark.parametrize("missing", ["valid", "reasons", "latencies_ms", "scope"])
def test_a_row_that_lacks_something_is_told(tmp_path: Path, missing: str) -> None:
    a = write(tmp_path / "a.json", {1: latencies(10)})
    content = json.loads(a.read_text())
    del content["models"][0]["batches"][0][missing]
    (tmp_path / "b.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"b\.json: is not a file that medsynth benchmark wrote"):
        compare(a, tmp_path / "b.json")


def test_a_row_without_latencies_is_told(tmp_path: Path) -> None:
    a = write(tmp_path / "a.json", {8: latencies(10)})
    with pytest.raises(ConfigError, match=r"b\.json: latencies_ms must .* empty for model at batch 8. Measure again"):
        compare(a, write(tmp_path / "b.json", {8: []}))


def test_an_invalid_measurement_is_not_judged(tmp_path: Path) -> None:
    a = write(tmp_path / "a.json", {1: latencies(10)})
    (row,) = compare(a, write(tmp_path / "b.json", {1: latencies(20)}, valid=False))
    assert row.verdict == "invalid"
    assert row.reasons == ("B: the machine is busy",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("no json", "is not a file that medsynth benchmark wrote"),
        ("[]", "is not a file that medsynth benchmark wrote"),
        (f'{{"schema": {SCHEMA}, "models": [{{}}]}}', "is not a file that medsynth benchmark wrote"),
        ('{"schema": 99, "models": []}', "has schema 99; this medsynth compares"),
    ],
)
def test_files_that_are_no_measurement(tmp_path: Path, content: str | None, said: str) -> None:
    a = write(tmp_path / "a.json", {1: latencies(10)})
    if content is not None:
        (tmp_path / "b.json").write_text(content)
    with pytest.raises(ConfigError, match=said):
        compare(a, tmp_path / "b.json")


def test_what_benchmark_writes_can_be_compared(tiny: ModuleType, tmp_path: Path) -> None:
    path = tiny.classifier_file(tmp_path / "m.onnx")
    report = benchmark(path, (1, 2), "cpu", rules=Rules(min_seconds=0.02, min_runs=9))
    report.write(tmp_path / "a.json")
    rows: tuple[Any, ...] = compare(tmp_path / "a.json", tmp_path / "a.json")
    assert [row.ratio for row in rows] == [1, 1]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = str(write(tmp_path / "a.json", {1: latencies(10)}))
    slow = str(write(tmp_path / "slow.json", {1: latencies(13)}))
    invalid = str(write(tmp_path / "invalid.json", {1: latencies(10)}, valid=False))
    assert run(["compare", a, a]) == 0
    assert run(["compare", slow, a]) == 0
    assert run(["compare", a, slow, "--noise", "0.5"]) == 0
    capsys.readouterr()
    assert run(["compare", a, slow]) == 1
    assert "m.onnx: is slower: 0.7" in capsys.readouterr().err
    assert run(["compare", a, invalid]) == 1
    assert "cannot be judged (B: the machine is busy)" in capsys.readouterr().err
    assert run(["compare", a, str(tmp_path / "absent.json")]) == 2
