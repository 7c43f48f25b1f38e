from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from medsynth.dataset import from_arrays, make_phantom
from medsynth.errors import ConfigError, DataError
from medsynth.evaluate import FeatureNetwork, FeatureSpace, evaluate_generator, generator
from medsynth.images import ImageSpec, load_images
from medsynth.infer import load_model


def test_the_verdict_is_the_classifiers_on_prepared_images(load, data):
    sampler, judge = load("generator.onnx"), load("classifier.onnx")
    report = evaluate_generator(sampler, data, judge, count=50, seed=3)
    labels = np.arange(50) % 2
    pixels = load_images(list(sampler.sample(50, seed=3)), judge.image)
    assert pixels.shape[1:] == (12, 12, 1)  # The generator makes 16 by 16.
    predicted = judge.run(pixels)["probabilities"][:, 1] >= 0.4
    assert report.scores.overall["accuracy"].value == pytest.approx(sk.accuracy_score(labels, predicted))
    np.testing.assert_array_equal(report.scores.confusion, sk.confusion_matrix(labels, predicted))
    assert report.scores.images == report.count == 50
    assert not report.scores.grouped


def test_blocks_change_nothing(load, data, monkeypatch):
    models = load("generator.onnx"), data, load("classifier.onnx")
    whole = evaluate_generator(*models, count=45)
    monkeypatch.setattr(generator, "_BLOCK", 7)
    blocks = evaluate_generator(*models, count=45)
    assert blocks.scores.overall["loss"].value == pytest.approx(whole.scores.overall["loss"].value, rel=1e-5)
    np.testing.assert_array_equal(blocks.generated, whole.generated)


def test_grids_show_the_first_images_of_each_class(load, data):
    sampler = load("generator.onnx")
    report = evaluate_generator(sampler, data, load("classifier.onnx"), count=40)
    images = sampler.sample(40)
    np.testing.assert_array_equal(report.generated[0], images[0:16:2])
    np.testing.assert_array_equal(report.generated[1], images[1:16:2])


def test_real_images_are_training_images_and_the_test_part_stays_untouched(load, data):
    sampler = load("generator.onnx")
    gone = tuple("gone.png" if part == "test" else image for image, part in zip(data.images, data.split, strict=True))
    report = evaluate_generator(sampler, replace(data, images=gone), load("classifier.onnx"), count=40)
    train = data.part("train").decode(sampler.image)
    for index in range(2):
        own = {image.tobytes() for image in train.images[train.labels == index]}
        assert all(image.tobytes() in own for image in report.real[index])
        assert len({image.tobytes() for image in report.real[index]}) == generator.COLUMNS
    assert not list(sampler.path.parent.glob("*.evaluations.json"))


def test_classes_with_few_images_leave_black_places():
    images = np.full((3, 2, 2, 1), 9, np.uint8)
    grid = generator._grid(images, np.array([0, 1, 1]), 2, spread=True)
    assert grid.shape == (2, 8, 2, 2, 1)
    assert (grid[0, 0] == 9).all()
    assert not grid[0, 1:].any()
    assert not grid[1, 2:].any()


def test_three_classes(load, shades):
    report = evaluate_generator(load("shades-generator.onnx"), shades, load("shades-classifier.onnx"), count=60)
    assert report.generated.shape[:2] == (3, 8)
    assert all(curve is not None for curve in report.scores.roc)
    assert report.scores.overall["accuracy"].value > 0.8


def test_classes_must_agree(load, data, shades):
    with pytest.raises(DataError, match=r"shades-classifier\.onnx knows .*; generator\.onnx has clear, opacity"):
        evaluate_generator(load("generator.onnx"), data, load("shades-classifier.onnx"))
    with pytest.raises(DataError, match=r"generator\.onnx knows .*; shades has"):
        evaluate_generator(load("generator.onnx"), shades, load("classifier.onnx"))


def test_too_few_images_are_refused(load, data):
    with pytest.raises(ConfigError, match=r"at least 8 for each of 2 classes\. Got 15"):
        evaluate_generator(load("generator.onnx"), data, load("classifier.onnx"), count=15)


def test_progress_and_json(load, data):
    told = []
    report = evaluate_generator(
        load("generator.onnx"), data, load("classifier.onnx"), count=20, on_progress=lambda *state: told.append(state)
    )
    assert told == [(20, 20, {})]
    fields = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert fields["count"] == 20
    assert "generated" not in fields


def test_distances_are_measured_in_the_features_of_the_classifier(load, data):
    judge = load("classifier.onnx")
    report = evaluate_generator(load("generator.onnx"), data, judge, count=40)
    assert report.features.name == "features of classifier.onnx"
    rows = {row.name: row for row in report.metrics}
    assert next(iter(rows)) == "kid"
    kid = rows["kid"]
    assert kid.space == report.features.name
    assert "needs at least 50" in kid.error  # A few phantom patients are not enough, and the row says so.
    assert rows["ms-ssim"].space is None
    fields = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert fields["features"]["dimensions"] == 144
    assert {row["name"] for row in fields["metrics"]} >= {"fid", "kid", "coverage", "ms-ssim"}


def test_distances_of_real_images_are_smaller(load, linear, tmp_path):
    drawn = make_phantom(patients=200, slices_per_patient=2, size=24)
    many = from_arrays(drawn.images, [drawn.classes[label] for label in drawn.labels], source="phantom")
    generator_file = linear.write_generator(many, tmp_path / "many.onnx")
    small = FeatureNetwork(
        FeatureSpace(name="means", file="none", content_hash="", dimensions=4, image_size=(24, 24)),
        ImageSpec(height=24, width=24, channels=1),
        lambda images: images.reshape(len(images), 4, -1).mean(axis=2).astype(np.float32),
    )
    sampler = load_model(generator_file, device="cpu")
    report = evaluate_generator(sampler, many, load("classifier.onnx"), count=160, features=small)
    rows = {row.name: row for row in report.metrics if row.space == "means"}
    for name in ("kid", "fid", "intra-class-fid", "coverage", "density", "knn-precision", "knn-recall", "vendi"):
        row = rows[name]
        assert row.error is None, row
        assert row.size > 100
        assert np.isfinite(row.real)
    assert rows["kid"].estimate.low < rows["kid"].estimate.value < rows["kid"].estimate.high
    assert any("below 2,048" in note for note in rows["fid"].notes)
    assert set(rows["intra-class-fid"].per_class) == {0, 1}
