"""The deployment side works where TensorFlow and Keras cannot be imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from PIL import Image

BLOCKED = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = sys.modules["tf2onnx"] = None
from medsynth.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture
def scans(tmp_path, phantom):
    folder = tmp_path / "scans"
    folder.mkdir()
    for index in range(6):
        Image.fromarray(phantom.images[index * 9]).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def medsynth(tmp_path):
    def call(*arguments, code=0):
        done = subprocess.run(
            [sys.executable, "-c", BLOCKED, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "MEDSYNTH_LOAD_PLUGINS": "medsynth-ms-ssim,medsynth-tiny-cnn"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        return done

    return call


def test_plugins_are_listed(medsynth):
    listed = json.loads(medsynth("plugins", "list", "--json", "--strict").stdout)
    names = {plugin["name"] for plugin in listed["plugins"]}
    assert {"vgg16", "acgan", "tiny-cnn", "ms-ssim", "accuracy", "auc"} <= names


def test_the_artefacts_are_served_and_judged(medsynth, classifier_onnx, generator_onnx, scans, tmp_path):
    medsynth("verify", classifier_onnx)
    medsynth("verify", generator_onnx)
    medsynth("infer", classifier_onnx, scans, "--out", "p.csv")
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 7
    medsynth("generate", generator_onnx, "--out", "made", "--count", "3", "--label", "opacity")
    assert len(list((tmp_path / "made").glob("*.png"))) == 3
    medsynth("evaluate", "classifier", classifier_onnx, "phantom", "--out", "report")
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["classifier"]["images"] == 144
    assert "<html" in (tmp_path / "report" / "report.html").read_text()


def test_training_anew_names_the_extra_before_an_image_is_made(medsynth, classifier_onnx, generator_onnx):
    judge = ("--classifier", classifier_onnx, "--out", "judged", "--utility", "retrain")
    said = medsynth("evaluate", "generator", generator_onnx, "phantom", *judge, code=2)
    assert "medsynth-core[train]" in said.stderr
    assert "Generating" not in said.stderr


def test_data_are_audited(medsynth):
    assert "phantom: 960 images" in medsynth("dataset", "audit", "phantom").stdout


@pytest.mark.parametrize("verb", ["classifier", "generator"])
def test_training_names_the_extra(medsynth, verb):
    said = medsynth("train", verb, "phantom", "--out", "run", code=2).stderr
    assert "medsynth-core[train]" in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1
    assert "medsynth-core[train]" in medsynth("quickstart", code=2).stderr
