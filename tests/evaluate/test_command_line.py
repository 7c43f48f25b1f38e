from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from medsynth.cli.evaluate import app
from medsynth.errors import ArtifactError, ConfigError, OutputError


@pytest.fixture
def folder(files, data, tmp_path):
    """Models, and the data as a folder that load_dataset takes."""
    for name in ("classifier.onnx", "generator.onnx"):
        shutil.copy(files / name, tmp_path / name)
    rows = zip(data.images, data.names, data.labels, data.split, strict=True)
    for image, name, label, part in rows:
        path = tmp_path / "data" / part / data.classes[label] / name.replace("/", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return tmp_path


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_classifier(folder):
    arguments = ("classifier", folder / "classifier.onnx", folder / "data", "--out", folder / "out", "--device", "cpu")
    first, second = invoke(*arguments), invoke(*arguments)
    assert "first use" in first.output
    assert "use number 2" in second.output
    numbers = json.loads((folder / "out" / "metrics.json").read_text())
    accuracy = numbers["classifier"]["overall"]["accuracy"]
    assert f"{accuracy['value']:.3f}" in first.stdout
    assert f"{accuracy['low']:.3f} to {accuracy['high']:.3f}" in first.stdout
    assert numbers["generator"] is None
    assert "trained on other data" in first.stderr  # The folder has no groups, so it is not the same data set.


def test_generator(folder):
    judge = ("--classifier", folder / "classifier.onnx")
    out = ("--out", folder / "out", "--count", 40, "--seed", 2, "--device", "cpu")
    result = invoke("generator", folder / "generator.onnx", folder / "data", *judge, *out)
    numbers = json.loads((folder / "out" / "metrics.json").read_text())
    assert numbers["classifier"] is None
    assert (numbers["generator"]["count"], numbers["generator"]["seed"]) == (40, 2)
    assert "classifier.onnx on 40 images of generator.onnx" in result.output
    assert not list(folder.glob("*.evaluations.json"))


def test_distances_are_shown_by_feature_space(folder):
    judge = ("--classifier", folder / "classifier.onnx", "--features", folder / "classifier.onnx")
    out = ("--out", folder / "out", "--count", 120, "--device", "cpu")
    result = invoke("generator", folder / "generator.onnx", folder / "data", *judge, *out)
    numbers = json.loads((folder / "out" / "metrics.json").read_text())["generator"]
    assert numbers["features"]["name"] == "features of classifier.onnx"
    assert "in features of classifier.onnx" in result.output
    assert "of images" in result.output
    rows = {row["name"]: row for row in numbers["metrics"]}
    assert "needs at least 50" in rows["kid"]["error"]
    page = (folder / "out" / "report.html").read_text()
    assert "in features of classifier.onnx (144 dimensions)" in page
    assert "needs at least 50 reference rows" in page
    scale = ("--features-scale", "0.1")
    with pytest.raises(ConfigError, match=r"--features-mean must be a number.*'x'"):
        invoke("generator", folder / "generator.onnx", folder / "data", *judge, *out, *scale, "--features-mean", "x")


def test_bad_input_is_one_of_our_errors(folder):
    with pytest.raises(ArtifactError, match="must be a classifier"):
        invoke("classifier", folder / "generator.onnx", folder / "data", "--out", folder / "out")
    (folder / "file").write_text("")
    with pytest.raises(OutputError, match="must be a folder"):
        invoke("classifier", folder / "classifier.onnx", folder / "data", "--out", folder / "file")


def test_help_has_an_example():
    for verb in ("classifier", "generator"):
        assert "Example: medsynth evaluate" in invoke(verb, "--help").output


def test_utility_by_training_anew(folder, monkeypatch):
    """The network is a stand-in that knows grey levels; the real one is tested with training."""
    from medsynth import train

    asked = {}

    class Network:
        description = "a stand-in"

        def __call__(self, images, labels, seed):
            middle = np.mean([images[labels == label].mean() for label in (0, 1)])
            return lambda others: np.stack(
                [others.mean(axis=(1, 2, 3)) < middle, others.mean(axis=(1, 2, 3)) >= middle], 1
            )

    def stand_in(image, **given):
        asked.update(given, image=image)
        return Network()

    monkeypatch.setattr(train, "retrainer", stand_in, raising=False)
    judge = ("--classifier", folder / "classifier.onnx", "--count", 40, "--device", "cpu", "--out", folder / "out")
    arguments = ("generator", folder / "generator.onnx", folder / "data", *judge)
    result = invoke(*arguments, "--utility", "retrain", "-O", "epochs=2")
    assert "a stand-in" in result.stderr
    found = json.loads((folder / "out" / "metrics.json").read_text())["generator"]["utility"]
    trained = len(list((folder / "data" / "train").rglob("*.png")))
    assert (asked["image"].height, asked["classes"], asked["images"], asked["epochs"]) == (16, 2, trained, 2)
    assert (found["learner"], found["description"], found["space"]) == ("retrained network", "a stand-in", None)
    assert all(arm["error"] is None and arm["auc"]["value"] is not None for arm in found["arms"])
    page = (folder / "out" / "report.html").read_text()
    assert "A retrained network (a stand-in) learns from" in page
    assert "and not a probe on features, was not tested" not in page
    with pytest.raises(ConfigError, match=r"add --utility retrain\. Got -O epochs=2"):
        invoke(*arguments, "-O", "epochs=2")
