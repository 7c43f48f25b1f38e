from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from medsynth.benchmark import duel
from medsynth.cli.main import run
from medsynth.errors import ConfigError, MedsynthError

if TYPE_CHECKING:
    from types import ModuleType

MODULE = "medsynth.benchmark.duel"


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch):
    """Processes that answer from a list of speeds."""
    calls: list[str] = []

    def play(speeds: dict[str, list[float]], reasons: tuple[str, ...] = ()) -> list[str]:
        def measure(path: Path, batch_size: int, device: str) -> dict[str, Any]:
            calls.append(path.stem)
            return {"images_per_second": speeds[path.stem].pop(0), "reasons": reasons}

        monkeypatch.setattr(sys.modules[MODULE], "_measure_in_fresh_process", measure)
        return calls

    return play


def test_turns_alternate_and_pairs_are_compared(played: Any) -> None:
    calls = played({"a": [10, 20, 30, 40, 50], "b": [11, 22, 33, 44, 55]})
    found = duel("a.onnx", "b.onnx", 8)
    assert "".join(calls) == "abbaabbaab"
    assert found.pairs[1] == (20, 22)
    assert found.comparison.ratio == pytest.approx(1.1)
    # The machine grew five times faster meanwhile, which the pairs do not see.
    assert found.comparison.low == pytest.approx(1.1)
    assert found.comparison.verdict == "faster"


def test_slower_and_same(played: Any) -> None:
    played({"a": [10] * 5, "b": [9, 9.1, 8.9, 9, 9]})
    assert duel("a.onnx", "b.onnx", 8).comparison.verdict == "slower"
    played({"a": [10] * 5, "b": [9, 11, 10, 10.5, 9.5]})
    assert duel("a.onnx", "b.onnx", 8).comparison.verdict == "same"


def test_an_invalid_turn_makes_the_duel_invalid(played: Any) -> None:
    played({"a": [10] * 5, "b": [5] * 5}, ("the machine is busy",))
    found = duel("a.onnx", "b.onnx", 8).comparison
    assert found.verdict == "invalid"
    assert found.reasons == ("A: the machine is busy", "B: the machine is busy")


def test_too_few_pairs() -> None:
    with pytest.raises(ConfigError, match=r"pairs must be at least 5. Got 4"):
        duel("a.onnx", "b.onnx", 8, pairs=4)


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("junk")
    with pytest.raises(MedsynthError, match=r"measuring a.onnx failed: .*onnxruntime cannot load the model"):
        duel(tmp_path / "a.onnx", tmp_path / "a.onnx", 1, "cpu")


def test_a_fresh_process_measures(tiny: ModuleType, tmp_path: Path) -> None:
    path = tiny.classifier_file(tmp_path / "m.onnx")
    row = sys.modules[MODULE]._measure_in_fresh_process(path, 4, "cpu")
    assert row["batch_size"] == 4
    assert row["images_per_second"] > 0


def test_the_command(played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    played({"a": [10] * 5, "b": [8] * 5})
    out = tmp_path / "d.json"
    a, b = (str(tmp_path / f"{name}.onnx") for name in "ab")
    for path in (a, b):
        Path(path).write_bytes(b"played")
    assert run(["benchmark", a, "--vs", b, "--batch-sizes", "4", "--out", str(out)]) == 1
    assert "b.onnx: is slower: 0.800 times the speed of a.onnx" in capsys.readouterr().err
    (written,) = json.loads(out.read_text())["duels"]
    assert written["comparison"]["verdict"] == "slower"
    assert written["pairs"] == [[10, 8]] * 5
    assert run(["benchmark", a, "--vs", b, "--scenario", "server", "--out", str(out)]) == 2
    assert "--vs takes one MODEL" in capsys.readouterr().err
