from __future__ import annotations

import importlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import medsynth
from medsynth.cross_validation import _in_order_of_input, _mean
from medsynth.dataset import load_dataset
from medsynth.errors import ConfigError, DataError
from medsynth.metrics import Estimate, Rows, score
from medsynth.metrics.bootstrap import RESAMPLING

TINY = {
    "image_size": 32,
    "epochs": 1,
    "batch_size": 16,
    "backbone": "tiny-cnn",
    "width": 4,
}


def test_every_image_is_judged_by_a_classifier_that_has_not_seen_it(phantom, tmp_path):
    result = medsynth.cross_validate(phantom, out=tmp_path, folds=2, repeats=2, device="cpu", **TINY)
    assert result.unit == "group"
    assert [(fold.repeat, fold.index) for fold in result.folds] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [sum(fold.images for fold in result.folds[at : at + 2]) for at in (0, 2)] == [len(phantom)] * 2
    assert json.loads((tmp_path / "cross-validation.json").read_text()) == result.to_dict()
    auc, accuracy = result.metrics["auc"], result.metrics["accuracy"]
    assert auc.low <= auc.value <= auc.high
    expected_auc, expected_accuracy = [], []
    for repeat in range(2):
        labels, scores, right = [], [], []
        for index in range(2):
            place = tmp_path / f"repeat-{repeat}-fold-{index}"
            test = phantom.take([phantom.names.index(name) for name in held_out(place / "run" / "data.csv")])
            told = medsynth.load_model(place / "classifier.onnx", device="cpu").predict(test)
            true = np.array(phantom.classes)[test.labels]
            labels += (true == phantom.positive).tolist()
            scores += told.probabilities[:, phantom.positive_index].tolist()
            right += (np.array(told.predicted) == true).tolist()
        expected_auc.append(roc_auc_score(labels, scores))
        expected_accuracy.append(np.mean(right))
    assert auc.value == pytest.approx(np.mean(expected_auc))
    assert accuracy.value == pytest.approx(np.mean(expected_accuracy))


def held_out(path):
    """Names of the test part, of arrays that cannot be loaded from a CSV."""
    return [line.split(",")[0] for line in path.read_text().splitlines()[1:] if line.endswith(",test")]


def test_decisions_come_back_in_the_order_in_which_they_went_in():
    rng = np.random.default_rng(0)
    positive = rng.random(50)
    probabilities = np.stack([1 - positive, positive], axis=1)
    rows = Rows.of(rng.integers(0, 2, 50), probabilities, threshold=0.7)
    np.testing.assert_array_equal(_in_order_of_input(rows), (positive >= 0.7).astype(int))


def test_a_metric_that_one_repetition_lacks_is_not_averaged():
    assert _mean([Estimate(0.5, 0.25, 1.0), Estimate(0.75, 0.5, 1.0)]) == Estimate(0.625, 0.375, 1.0)
    assert _mean([Estimate(0.5, 0.25, 1.0), Estimate(None)]) == Estimate(None, None, None)


def test_numbers_that_cannot_be(phantom, tmp_path):
    with pytest.raises(ConfigError, match="folds must be from 2 to 24"):
        medsynth.cross_validate(load_dataset(phantom), out=tmp_path, folds=25, **TINY)


@pytest.fixture
def trained_at_once(monkeypatch):
    """Training, export and loading that take no time: every image is called by its own class."""

    def train(data, *, out, **_):
        return data

    def load(data, **_):
        def predict(part):
            return SimpleNamespace(names=part.names, probabilities=np.eye(2)[part.labels], threshold=0.5)

        return SimpleNamespace(predict=predict)

    monkeypatch.setattr("medsynth.train.train_classifier", train)
    module = importlib.import_module("medsynth.export")  # medsynth.export is the function.
    monkeypatch.setattr(module, "export", lambda run, path: run)
    monkeypatch.setattr("medsynth.infer.load.load_classifier", load)


def test_intervals_are_made_for_repetitions_only(phantom, tmp_path, monkeypatch, trained_at_once):
    resamples = []

    def counted(rows, resampling=RESAMPLING):
        resamples.append(resampling.resamples)
        return score(rows, resampling)

    monkeypatch.setattr("medsynth.cross_validation.score", counted)
    result = medsynth.cross_validate(phantom, out=tmp_path, folds=2)
    assert resamples == [0, 0, 1000]
    assert [fold.metrics["accuracy"] for fold in result.folds] == [1, 1]
    assert result.metrics["accuracy"] == Estimate(1, 1, 1)
    assert sorted(path.name for path in tmp_path.rglob("split.csv")) == ["split.csv"] * 2


def test_a_split_that_is_refused_does_not_replace_that_of_the_run(phantom, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise DataError("was trained on other images")

    monkeypatch.setattr("medsynth.train.train_classifier", refuse)
    split = tmp_path / "repeat-0-fold-0" / "split.csv"
    split.parent.mkdir()
    split.write_text("that of the run")
    with pytest.raises(DataError, match="other images"):
        medsynth.cross_validate(phantom, out=tmp_path, folds=2)
    assert split.read_text() == "that of the run"
