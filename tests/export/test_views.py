"""Averaged views: the graph against numpy, at any batch size and precision, and what the file says of them."""

from __future__ import annotations

import numpy as np
import pytest

import medsynth
from medsynth import artifact
from medsynth.errors import ArtifactError, ConfigError, DataError
from medsynth.export import Budget, views
from medsynth.export.views import moved, moves
from medsynth.train.calibrate import Calibration, fit_calibration


@pytest.fixture(scope="module")
def averaged(classifier_run, phantom, tmp_path_factory):
    return medsynth.export(classifier_run, tmp_path_factory.mktemp("views") / "views.onnx", tta=5, calibration=phantom)


def test_it_says_the_mean_of_what_the_file_says_of_each_view(averaged, classifier_onnx, phantom):
    whole, single = (medsynth.load_model(path, device="cpu") for path in (averaged, classifier_onnx))
    images = phantom.part("test").decode(single.image).images
    views = [single.run(moved(images, move)) for move in moves(5, 32, 32)]
    got = whole.run(images, batch_size=4)
    for name in ("logits", "features"):
        wanted = np.mean([view[name] for view in views], axis=0)
        np.testing.assert_allclose(got[name], wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got["activations"], views[0]["activations"], rtol=1e-4, atol=1e-4)
    metadata = artifact.read(averaged)
    calibrated = Calibration(metadata.temperature, metadata.bias).probabilities(got["logits"])
    np.testing.assert_allclose(got["probabilities"], calibrated, atol=1e-5)
    for size in (1, 3):
        np.testing.assert_allclose(whole.run(images[:size])["logits"], got["logits"][:size], rtol=1e-4, atol=1e-4)


def test_calibration_and_threshold_are_fitted_with_the_views(averaged, classifier_onnx, phantom):
    metadata, parent = artifact.read(averaged), artifact.read(classifier_onnx)
    validation = phantom.part("validation").decode(metadata.image)
    got = medsynth.load_model(averaged, device="cpu").run(validation.images)
    fitted = fit_calibration(got["logits"], validation.labels)
    assert metadata.temperature == pytest.approx(fitted.temperature, rel=1e-3)
    assert metadata.bias == pytest.approx(fitted.bias, rel=1e-3, abs=1e-3)
    predicted = got["probabilities"][:, 1] >= metadata.threshold
    assert metadata.validation["accuracy"] == pytest.approx((predicted == validation.labels).mean())
    assert metadata.tta["views"] == 5
    assert metadata.tta["moves"] == [[0, 0], [0, 2], [0, -2], [2, 0], [-2, 0]]
    assert metadata.tta["parent"] == parent.content_hash
    assert metadata.tta["fitted_on"]["part"] == "validation"
    assert metadata.tta["validation_without"]["auc"] == pytest.approx(parent.validation["auc"])
    assert set(metadata.tta["parity"]) == {"1", "3"}
    assert parent.tta == {}


def test_it_proves_itself_as_every_file(averaged):
    assert all(check.passed for check in artifact.verify(averaged))


def test_views_of_a_file_in_another_precision(classifier_onnx, phantom, tmp_path):
    # Two of the 16 validation images are nearly tied: which is the first is the processor's choice.
    wide = Budget(flips=0.1, auc=0.05)
    out = tmp_path / "half.onnx"
    half = medsynth.export(classifier_onnx, out, precision="fp16", tta=3, calibration=phantom, budget=wide)
    metadata = artifact.read(half)
    assert (metadata.precision["name"], metadata.tta["views"]) == ("fp16", 3)
    assert all(check.passed for check in artifact.verify(half))


def test_views_that_disagree_are_told_by_their_own_name(tiny, phantom, tmp_path, monkeypatch):
    monkeypatch.setattr(views, "TOLERANCE", {"fp32": (-1.0, 0.0)})
    with pytest.raises(ArtifactError, match="disagrees with numpy's views") as caught:
        medsynth.export(tiny.classifier_file(tmp_path / "m.onnx"), tmp_path / "v.onnx", tta=2, calibration=phantom)
    assert "Keras" not in str(caught.value)


def test_validation_must_hold_every_class(tiny, phantom, tmp_path, monkeypatch):
    fitted = []
    monkeypatch.setattr(views, "fit_calibration", lambda *arguments: fitted.append(arguments))
    kept = [row for row, part in enumerate(phantom.split) if part != "validation" or phantom.labels[row] == 0]
    with pytest.raises(DataError, match="the validation part has no readable image of opacity"):
        medsynth.export(
            tiny.classifier_file(tmp_path / "m.onnx"), tmp_path / "v.onnx", tta=2, calibration=phantom.take(kept)
        )
    assert not fitted


def test_moving_repeats_the_border():
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4, 1)
    np.testing.assert_array_equal(moved(image, (1, 0))[0, :, :, 0], [[0, 1, 2, 3], [0, 1, 2, 3], [4, 5, 6, 7]])
    np.testing.assert_array_equal(moved(image, (0, -2))[0, 0, :, 0], [2, 3, 3, 3])


def test_what_cannot_be_averaged_is_told(averaged, classifier_onnx, generator_run, phantom, tmp_path):
    out = tmp_path / "out.onnx"
    with pytest.raises(ConfigError, match="tta must be from 1"):
        medsynth.export(classifier_onnx, out, tta=10, calibration=phantom)
    with pytest.raises(ConfigError, match="Give the data set that it was trained on with --calibration"):
        medsynth.export(classifier_onnx, out, tta=2)
    with pytest.raises(ConfigError, match="only a classifier can average views"):
        medsynth.export(generator_run, out, tta=2)
    with pytest.raises(ArtifactError, match="averages 5 views already"):
        medsynth.export(averaged, out, tta=2, calibration=phantom)
    with pytest.raises(ArtifactError, match="averages 5 views"):
        medsynth.export(averaged, out, precision="fp16", calibration=phantom)
    assert not out.exists()
