"""``medsynth export`` of an ONNX file: no TensorFlow."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import pytest
from PIL import Image

from medsynth.artifact import read
from medsynth.cli.main import run
from medsynth.dataset import load_dataset


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
    assert OTHER in " ".join(said.split())
    assert read(out).precision["gate"]["images"] == 144
    assert run(["verify", str(out)]) == 0


@pytest.fixture
def table(phantom, tmp_path):
    """A CSV of a few images; the phantom of the command is ten times as many."""
    with (tmp_path / "data.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "group", "split"))
        for index, image in enumerate(phantom.images):
            Image.fromarray(image).save(tmp_path / f"{index}.png")
            label = phantom.classes[phantom.labels[index]]
            writer.writerow((f"{index}.png", label, phantom.groups[index], phantom.split[index]))
    return str(tmp_path / "data.csv")


OTHER = "are not, file by file, those of the training: make sure that no test image is among them"


def test_views_say_how_far_they_are_from_numpy_and_whose_images_fitted_them(model, table, tmp_path, capsys):
    out = tmp_path / "views.onnx"
    assert run(["export", model, "--out", str(out), "--tta", "2", "--calibration", table]) == 0
    said = capsys.readouterr().out
    assert "averages 2 views; differs from views made by numpy by at most " in said
    assert "Keras" not in said
    assert OTHER in " ".join(said.split())
    half = ["--precision", "fp16", "--max-flips", "1", "--max-auc-change", "1"]
    assert run(["export", model, "--out", str(out), "--tta", "2", "--calibration", table, *half]) == 0
    said = capsys.readouterr().out
    assert "in fp16; in fp32 stayed no layer; averages 2 views; differs from views made by numpy" in said


def test_the_data_of_the_training_are_no_other_data(small, table, tmp_path, capsys):
    facts = {"source": "phantom", "fingerprint": load_dataset(table).fingerprint, "counts": {}}
    own = str(small.write_file(small.classifier(), "classifier", small.SPEC, tmp_path / "own.onnx", data=facts))
    for options in (["--precision", "fp16", "--max-flips", "1", "--max-auc-change", "1"], ["--tta", "2"]):
        assert run(["export", own, "--out", str(tmp_path / "o.onnx"), "--calibration", table, *options]) == 0
        assert "file by file" not in capsys.readouterr().out


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
