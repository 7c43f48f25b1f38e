"""``medsynth export`` of an ONNX file: no TensorFlow."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from medsynth.artifact import read
from medsynth.cli.main import run


@pytest.fixture(scope="module")
def small():
    path = Path(__file__).parents[1] / "export" / "precision" / "small_models.py"
    spec = importlib.util.spec_from_file_location("small_models", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model(small, tmp_path):
    return str(small.write_file(small.classifier(), "classifier", small.SPEC, tmp_path / "classifier.onnx"))


def test_a_file_in_another_precision(model, tmp_path, capsys):
    out = tmp_path / "half.onnx"
    assert run(["export", model, "--out", str(out), "--precision", "fp16", "--calibration", "phantom"]) == 0
    said = capsys.readouterr().out
    assert "decisions flip" in said
    assert "in fp16; in fp32 stayed no layer." in said
    assert read(out).precision["gate"]["images"] == 144
    assert run(["verify", str(out)]) == 0


def test_int8_warns_of_other_data(model, tmp_path, capsys):
    out = tmp_path / "int8.onnx"
    wide = ["--max-flips", "1", "--max-auc-change", "1"]
    assert run(["export", model, "--out", str(out), "--precision", "int8", "--calibration", "phantom", *wide]) == 0
    assert "make sure that no test image is among them" in capsys.readouterr().out
    assert read(out).precision["calibration"]["images"] == 128


def test_a_refusal_is_a_check_that_failed(model, tmp_path, capsys):
    strict = ["--max-flips", "0", "--max-auc-change", "0", "--no-fallback"]
    command = ["export", model, "--out", str(tmp_path / "q.onnx"), "--precision", "int8", "--calibration", "phantom"]
    assert run([*command, *strict]) == 1
    assert "the gate refuses" in capsys.readouterr().err
    assert not (tmp_path / "q.onnx").exists()


def test_bad_input(model, tmp_path, capsys):
    out = str(tmp_path / "q.onnx")
    assert run(["export", model, "--out", out]) == 2
    assert "an ONNX file already" in capsys.readouterr().err
    assert run(["export", model, "--out", out, "--precision", "int8"]) == 2
    assert "--calibration" in capsys.readouterr().err
    assert run(["export", model, "--out", out, "--precision", "int4"]) == 2
