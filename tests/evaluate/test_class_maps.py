from __future__ import annotations

import numpy as np
import pytest

import medsynth
from medsynth.evaluate import class_maps, evaluate_classifier
from medsynth.evaluate.class_maps import occlusion, telling_images
from medsynth.infer import Predictions
from medsynth.metrics import Resampling


def said(probabilities, classes=("a", "b"), threshold=0.4):
    table = np.asarray(probabilities, np.float32)
    names = tuple(f"{index}.png" for index in range(len(table)))
    return Predictions(names, table, classes, classes[-1], threshold, (), {})


def test_the_surest_of_each_kind_are_chosen():
    positive = np.array([0.95, 0.9, 0.05, 0.1, 0.41, 0.38, 0.99, 0.01])
    labels = np.array([1, 1, 0, 0, 1, 0, 0, 1])
    chosen = dict(telling_images(labels, said(np.column_stack([1 - positive, positive])), 2))
    assert [row for row, why in chosen.items() if why == "sure-and-right"] == [0, 2]
    assert [row for row, why in chosen.items() if why == "sure-and-wrong"] == [6, 7]
    assert [row for row, why in chosen.items() if why == "undecided"] == [4, 5]
    assert telling_images(labels, said(np.column_stack([1 - positive, positive])), 0) == ()


def test_more_classes_go_by_the_two_largest():
    table = [[0.9, 0.05, 0.05], [0.4, 0.35, 0.25], [0.05, 0.9, 0.05], [0.5, 0.3, 0.2]]
    chosen = dict(telling_images(np.array([0, 0, 0, 0]), said(table, ("a", "b", "c"), None), 1))
    assert chosen == {0: "sure-and-right", 2: "sure-and-wrong", 1: "undecided"}


def test_occlusion_finds_what_matters():
    """A score that is the brightness of one corner."""
    image = np.full((32, 48, 1), 40, np.uint8)
    image[24:, 36:] = 255
    found = occlusion(lambda images: images[:, 24:, 36:].mean(axis=(1, 2, 3)), image)
    assert found.shape == (8, 8)
    assert np.unravel_index(found.argmax(), found.shape) in {(6, 6), (6, 7), (7, 6), (7, 7)}
    assert found[:4].max() == 0


def test_maps_are_of_test_images_and_name_them(load, data):
    model = load("classifier.onnx")
    report = evaluate_classifier(model, data, maps=1, resampling=Resampling(resamples=10))
    assert report.maps
    test = data.part("test")
    for each in report.maps:
        row = test.names.index(each.name)
        assert each.true == data.classes[test.labels[row]]
        assert each.method == "occlusion"  # The linear models have no activations.
        np.testing.assert_array_equal(each.image, test.take([row]).decode(model.image).images[0])
        probability = report.predictions.probabilities[report.predictions.names.index(each.name)]
        assert each.probability == pytest.approx(probability[model.classes.index(each.decided)])
    assert "image" not in report.to_dict()["maps"][0]
    assert evaluate_classifier(model, data, maps=0, resampling=Resampling(resamples=10)).maps == ()


@pytest.mark.parametrize(("fewest", "method"), [(1, "grad-cam"), (100, "occlusion")])
def test_maps_of_a_few_cells_are_not_shown(classifier_onnx, phantom, monkeypatch, fewest, method):
    monkeypatch.setattr(class_maps, "_FEWEST_CELLS", fewest)
    model = medsynth.load_model(classifier_onnx, device="cpu")
    report = evaluate_classifier(model, phantom, maps=1, resampling=Resampling(resamples=10))
    assert {each.method for each in report.maps} == {method}
