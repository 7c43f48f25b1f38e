"""The JSON is what its reference page says: every key, and no other, of the type that stands there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from medsynth.benchmark import SCHEMA, Unmeasured, benchmark, write_reports
from medsynth.benchmark.conditions import read_conditions
from medsynth.benchmark.gpu import GpuState
from medsynth.benchmark.machine import forget_peak_memory, peak_memory_mib
from medsynth.benchmark.trial import Rules

if TYPE_CHECKING:
    from types import ModuleType

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "benchmark.md"
ROW = re.compile(r"^\| `([^`]+)` \| ([a-z ]+) \|", re.MULTILINE)
TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "list": list, "object": dict}


def tables() -> tuple[dict[str, str], dict[str, str]]:
    """Key and type: of the file, and of ``before`` and ``after``."""
    whole, _, inner = PAGE.read_text(encoding="utf-8").partition("`before` and `after`:")
    return dict(ROW.findall(whole)), dict(ROW.findall(inner))


def leaves(value: Any, documented: dict[str, str], at: str = "") -> Iterator[tuple[str, Any]]:
    """What the tables have a row for; they name the lists of objects by their elements."""
    if at in documented or not isinstance(value, (dict, list)):
        yield at, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, documented, f"{at}.{key}".removeprefix("."))
    else:
        for inner in value:
            yield from leaves(inner, documented, f"{at}[]")


def check(value: Any, documented: dict[str, str]) -> None:
    found = list(leaves(value, documented))
    assert {key for key, _ in found} == documented.keys()
    for key, leaf in found:
        kind = documented[key].removesuffix(" or null")
        if leaf is None:
            assert documented[key].endswith(" or null"), key
        else:
            assert isinstance(leaf, TYPES[kind]), key
            assert isinstance(leaf, bool) == (kind == "boolean"), key


@pytest.fixture(scope="module")
def held_before() -> float:
    """MiB that the tests of other files left in this process."""
    forget_peak_memory()
    return peak_memory_mib() or 0.0


@pytest.fixture(scope="module")
def written(held_before: float, tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("models")
    rules = Rules(min_seconds=0.01, min_runs=9)
    path = tiny.classifier_file(folder / "m.onnx")
    reports = [
        benchmark(path, (1, 3), "cpu", rules=rules),
        benchmark(path, device="cpu", scenario="server", rate=5000.0, target_ms=5.0, rules=rules),
    ]
    broken = [Unmeasured(model=None, device="cuda", batch_size=None, reason="no driver")]
    reports[0] = replace(
        reports[0], unmeasured=(Unmeasured(model="m.onnx", device="cpu", batch_size=9, reason="no memory"),)
    )
    write_reports(reports, folder / "t.json", broken)
    return json.loads((folder / "t.json").read_text(encoding="utf-8"))


def test_every_key_and_its_type(written: Any) -> None:
    whole, _ = tables()
    check(written, whole)
    assert written["schema"] == SCHEMA
    assert f"Schema {SCHEMA}," in PAGE.read_text(encoding="utf-8")
    assert [each["device"] for each in written["unmeasured"]] == ["cuda", "cpu"]


def test_the_state_of_the_machine(written: Any) -> None:
    _, state = tables()
    gpu = GpuState(
        name="H200",
        driver="580",
        sm_mhz=1.0,
        sm_max_mhz=None,
        temperature=1.0,
        power_w=None,
        memory_mib=1.0,
        clock_reasons="0x0",
        slowed_by=(),
        other_processes=0,
    )
    check(json.loads(json.dumps(asdict(replace(read_conditions(), gpu=gpu)))), state)
    without = {key for key in state if not key.startswith("gpu.")} | {"gpu"}
    for row in written["models"][0]["batches"]:
        assert row["before"].keys() == row["after"].keys() == without


def test_what_must_be_told(written: Any, held_before: float) -> None:
    """The facts without which a timing says nothing."""
    model = written["models"][0]
    assert model["nodes"]["CPUExecutionProvider"] >= 1
    assert model["provider"] == "CPUExecutionProvider"
    assert {"onnxruntime", "medsynth-core", "numpy", "python"} <= model["versions"].keys()
    assert model["load_seconds"] > 0
    assert all(row["first_run_seconds"] > 0 for row in model["batches"])
    if Path("/proc/self/status").exists():
        assert 1 <= model["threads"] <= written["machine"]["cores"]
        assert 20 < model["peak_memory_mib"] < held_before + 4096
