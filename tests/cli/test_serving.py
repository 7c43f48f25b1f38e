"""The verbs that serve artefacts: infer, generate, verify, benchmark, doctor. None needs TensorFlow."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from medsynth.cli.main import run
from medsynth.infer.device import probe

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture
def classifier(tiny: ModuleType, tmp_path: Path) -> str:
    return str(tiny.classifier_file(tmp_path / "classifier.onnx"))


@pytest.fixture
def generator(tiny: ModuleType, tmp_path: Path) -> str:
    return str(tiny.generator_file(tmp_path / "generator.onnx"))


@pytest.fixture
def scans(tmp_path: Path) -> str:
    root = tmp_path / "scans"
    root.mkdir()
    for index in range(11):
        Image.fromarray(np.random.default_rng(index).integers(0, 256, (9, 9), np.uint8)).save(root / f"{index}.png")
    (root / "2.png").write_bytes(b"")
    return str(root)


def failure(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that says what is wrong; progress may stand before it."""
    *before, line = capsys.readouterr().err.splitlines()
    assert line.startswith("medsynth: ")
    assert all("images/s" in other for other in before), before
    return line


def test_infer(classifier: str, scans: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "p.csv"
    call = ["infer", classifier, scans, "--out", str(out), "--batch-size", "4", "--device", "cpu"]
    assert run(call) == 0
    said = capsys.readouterr()
    assert f"{out}: 10 images on cpu" in said.out
    assert "1 without a row" in said.err
    assert "2.png: the file is empty." in said.err
    assert "images/s" in said.err
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [f"{i}.png" for i in range(11) if i != 2]
    assert {row["predicted"] for row in rows} <= {"clear", "opacity"}
    assert run([*call, "--resume"]) == 0
    assert "finished already; left alone" in capsys.readouterr().out


def test_infer_says_what_is_wrong(
    classifier: str, generator: str, scans: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, unreadable = tmp_path / "empty", tmp_path / "unreadable"
    empty.mkdir()
    unreadable.mkdir()
    (unreadable / "a.png").write_text("x")
    (tmp_path / "junk.onnx").write_text("junk")
    out = str(tmp_path / "p.csv")
    for arguments, said in (
        ([str(tmp_path / "absent.onnx"), scans, "--out", out], "no such file"),
        ([str(tmp_path / "junk.onnx"), scans, "--out", out], "onnxruntime cannot load the model"),
        ([generator, scans, "--out", out], "must be a classifier. Got a generator"),
        ([classifier, str(tmp_path / "absent"), "--out", out], "no such folder or image"),
        ([classifier, str(empty), "--out", out], "no images in this folder"),
        ([classifier, str(unreadable), "--out", out], "none of 1 images could be read"),
        ([classifier, scans, "--out", str(tmp_path / "p.xls")], "must end in .csv, .jsonl, .parquet"),
        ([classifier, scans, "--out", str(tmp_path / "junk.onnx" / "p.csv")], "must be a folder"),
        ([classifier, scans, "--out", out, "--device", "tpu"], "must be one of auto, cpu, cuda, tensorrt"),
        ([classifier, scans, "--out", out, "--batch-size", "0"], "batch-size"),
    ):
        assert run(["infer", *arguments]) == 2, said
        assert said in failure(capsys)
    assert not Path(out).exists()


@pytest.mark.skipif(probe("cuda") is None, reason="a GPU is here")
def test_a_missing_gpu_is_an_error(
    classifier: str, scans: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.csv"
    assert run(["infer", classifier, scans, "--out", str(out), "--device", "cuda"]) == 2
    assert "device 'cuda' does not work here" in failure(capsys)
    assert not out.exists()


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to mount")
def test_a_read_only_folder(classifier: str, scans: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "readonly"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        assert run(["infer", classifier, scans, "--out", str(folder / "p.csv")]) == 2
        assert "Read-only file system" in failure(capsys)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_generate(generator: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    shard = [
        "generate",
        generator,
        "--out",
        str(out),
        "--count",
        "3",
        "--label",
        "opacity",
        "--seed",
        "5",
        "--start",
        "4",
    ]
    assert run(shard) == 0
    assert "3 images written, on cpu" in capsys.readouterr().out
    assert sorted(path.name for path in out.glob("*.png")) == ["00000004.png", "00000005.png", "00000006.png"]
    assert run(shard) == 0
    assert "finished already; left alone" in capsys.readouterr().out


def test_generate_with_truncation_and_rejection(
    generator: str, classifier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    call = ["generate", generator, "--out", str(out), "--count", "4", "--truncation", "0.7", "--confidence", "0.01"]
    assert run([*call, "--reject-with", classifier, "--label", "opacity"]) == 0
    assert "4 images written, chosen from 4 tries, on cpu" in capsys.readouterr().out
    with (out / "manifest-00000000-00000004.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["truncation"], row["confidence"]) for row in rows} == {("0.7", "0.01")}


def test_generate_says_what_is_wrong(
    generator: str, classifier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    for arguments, said in (
        ([classifier, "--out", out, "--count", "1"], "must be a generator. Got a classifier"),
        (
            [generator, "--out", out, "--count", "1", "--label", "covid"],
            "label must be one of clear, opacity. Got 'covid'",
        ),
        ([generator, "--out", generator, "--count", "1"], "must be a folder (for PNG files), or end in .npz or .tar"),
        ([generator, "--out", out, "--count", "0"], "count"),
        ([generator, "--out", out, "--count", "1", "--truncation", "0"], "truncation must be from 0.05"),
        ([generator, "--out", out, "--count", "1", "--confidence", "0.9"], "--confidence P go together"),
        ([generator, "--out", out, "--count", "1", "--reject-with", classifier], "--confidence P go together"),
        ([generator, "--out", out, "--count", "1", "--tries", "5"], "--tries belongs to --reject-with"),
        ([generator, "--out", out, "--count", "1", "--seed", str(2**64)], "seed must be from 0"),
    ):
        assert run(["generate", *arguments]) == 2, said
        assert said in failure(capsys)
    assert not Path(out).exists()


def test_verify(classifier: str, generator: str, capsys: pytest.CaptureFixture[str]) -> None:
    for model in (classifier, generator):
        assert run(["verify", model]) == 0
        said = capsys.readouterr()
        assert "golden outputs" in said.out
        assert said.err == ""
    raw = bytearray(Path(classifier).read_bytes())
    raw[len(raw) // 3] ^= 1
    Path(classifier).write_bytes(raw)
    assert run(["verify", classifier]) == 1
    said = capsys.readouterr()
    assert "FAILED" in said.out
    assert said.err.startswith(f"medsynth: {classifier}: ")
    assert run(["verify", classifier + ".absent"]) == 2


def test_benchmark(classifier: str, generator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medsynth.benchmark import run as measuring

    quick = measuring.Rules(min_seconds=0.01, min_runs=9)
    monkeypatch.setattr(measuring, "Rules", lambda: quick)
    out = tmp_path / "t.json"
    assert run(["benchmark", classifier, generator, "--batch-sizes", "1,2", "--out", str(out)]) == 0
    models = json.loads(out.read_text())["models"]
    assert [model["model"]["file"] for model in models] == ["classifier.onnx", "generator.onnx"]
    assert [row["batch_size"] for row in models[0]["batches"]] == [1, 2]


def test_benchmark_of_an_altered_model_is_invalid(
    tiny: ModuleType,
    classifier: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from medsynth.benchmark import run as measuring

    quick = measuring.Rules(min_seconds=0.01, min_runs=9)
    monkeypatch.setattr(measuring, "Rules", lambda: quick)
    weights = next(t.raw_data for t in tiny.classifier_model().graph.initializer if t.name == "dense")
    changed = (-np.frombuffer(weights, np.float32)).tobytes()
    Path(classifier).write_bytes(Path(classifier).read_bytes().replace(weights, changed))
    assert run(["benchmark", classifier, "--batch-sizes", "2", "--out", str(tmp_path / "t.json")]) == 1
    assert "outputs differ from what they must be" in capsys.readouterr().err
    (row,) = json.loads((tmp_path / "t.json").read_text())["models"][0]["batches"]
    assert row["valid"] is False


def test_benchmark_says_what_is_wrong(classifier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for sizes, said in (("1,x", "--batch-sizes must be whole numbers"), ("0", "batch sizes must be at least 1")):
        assert run(["benchmark", classifier, "--batch-sizes", sizes, "--out", str(tmp_path / "t.json")]) == 2
        assert said in failure(capsys)


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["doctor"])
    said = capsys.readouterr()
    assert "device cpu" in said.out
    assert "a convolution ran on it" in said.out
    assert code == (1 if "problem" in said.out else 0)
