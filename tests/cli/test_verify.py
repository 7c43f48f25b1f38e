"""``medsynth verify`` on files that something happened to: exit 1, and the line names the check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest

from medsynth.cli.main import run

if TYPE_CHECKING:
    from types import ModuleType


def flip_a_bit_of_a_weight(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    weights = next(tensor for tensor in onnx.load(path).graph.initializer if tensor.name == "dense").raw_data
    raw[raw.index(weights) + 5] ^= 1
    path.write_bytes(raw)


def rename_a_class(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"opacity", b"capaciT"))


def truncate(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: 2 * len(raw) // 3])


def move_weights_outside(path: Path) -> None:
    model = onnx.load(path)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "dense")
    (path.parent.parent / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../weights.bin")
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("harm", "checks"),
    [
        (flip_a_bit_of_a_weight, {"content hash"}),
        (rename_a_class, {"content hash"}),
        (truncate, {"file"}),
        (move_weights_outside, {"content hash", "external data"}),
    ],
)
def test_a_harmed_file(
    tiny: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[Path], None],
    checks: set[str],
) -> None:
    (tmp_path / "models").mkdir()
    path = tiny.classifier_file(tmp_path / "models" / "classifier.onnx")
    assert run(["verify", str(path)]) == 0
    capsys.readouterr()
    harm(path)
    assert run(["verify", str(path)]) == 1
    said = capsys.readouterr()
    failed = {line.split("│")[2].strip() for line in said.out.splitlines() if "FAILED" in line}
    assert checks <= failed
    assert said.err.startswith(f"medsynth: {path}: ")
    assert len(said.err.strip().splitlines()) == 1
