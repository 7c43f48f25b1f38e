"""The scikit-learn estimator, by the habits that people rely on."""

from __future__ import annotations

import functools
import pickle
import subprocess
import sys

import numpy as np
import pytest
import sklearn
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from medsynth import MedsynthClassifier
from medsynth.errors import ConfigError, DataError

TINY = {
    "image_size": 32,
    "epochs": 1,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "backbone": "tiny-cnn",
    "settings": {"width": 4},
    "device": "cpu",
}


def estimator(**given):
    return MedsynthClassifier(**(TINY | given))


@pytest.fixture(scope="module")
def bright():
    """Dark and bright noise, which a tiny network tells apart at once: (images, labels)."""
    rng = np.random.default_rng(0)
    labels = np.array(["bright", "dark"] * 24)
    level = np.where(labels == "bright", 190, 60)[:, None, None]
    return np.clip(rng.normal(level, 12, (48, 20, 18)), 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def fitted(bright):
    return estimator(epochs=12, augmentation=False).fit(*bright)


def test_clone_keeps_parameters_and_forgets_the_fit(fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert copy.settings is not fitted.settings
    with pytest.raises(NotFittedError):
        copy.predict([np.zeros((8, 8), np.uint8)])


def test_get_params_and_set_params():
    made = estimator()
    assert made.get_params()["image_size"] == 32
    assert made.set_params(image_size=24, settings={"width": 0.125}) is made
    assert (made.image_size, made.settings) == (24, {"width": 0.125})
    with pytest.raises(ValueError, match="Invalid parameter"):
        made.set_params(image_siez=3)


def test_string_labels_and_probabilities(fitted, bright):
    images, labels = bright
    assert fitted.classes_.tolist() == ["bright", "dark"]
    probabilities = fitted.predict_proba(images)
    assert probabilities.shape == (48, 2)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert set(fitted.predict(images)) <= {"bright", "dark"}
    assert fitted.score(images, labels) > 0.9
    assert probabilities[labels == "dark", 1].mean() > probabilities[labels == "bright", 1].mean()


def test_labels_that_sort_otherwise_as_text(bright):
    images, labels = bright
    numbers = np.where(labels == "bright", 10, -9)
    made = estimator(positive=-9, epochs=12, augmentation=False).fit(images, numbers)
    assert made.classes_.tolist() == [-9, 10]
    assert made.predict(images).dtype == numbers.dtype
    assert made.score(images, numbers) > 0.9
    assert made._served().metadata.positive == "-9"


@pytest.mark.parametrize("labels", [[-1, 1], [1, 10], ["b-10", "b-9"], ["a", "b"]])
def test_the_positive_class_is_the_last_of_classes_(bright, monkeypatch, labels):
    """Also where numbers in text are ordered otherwise by the rest of medsynth: -1 after 1, 9 before 10."""

    def asked(data, **_):
        raise InterruptedError(data.positive)

    monkeypatch.setattr("medsynth.train.train_classifier", asked)
    images, named = bright
    made = estimator()
    with pytest.raises(InterruptedError) as caught:
        made.fit(images, np.array(labels)[(named == "dark").astype(int)])
    assert str(caught.value) == str(made.classes_[-1]) == str(labels[1])


def test_not_fitted():
    for ask in ("predict", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(estimator(), ask)([np.zeros((8, 8), np.uint8)])


def test_pickle_carries_the_model(fitted, bright):
    images, _ = bright
    expected = fitted.predict_proba(images)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(images), expected)


def test_pickle_predicts_without_tensorflow(fitted, bright, tmp_path):
    images, _ = bright
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(fitted))
    np.save(tmp_path / "images.npy", images)
    code = (
        "import pickle, sys, numpy as np\n"
        "sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        f"model = pickle.load(open({str(tmp_path / 'model.pickle')!r}, 'rb'))\n"
        f"np.save({str(tmp_path / 'told.npy')!r}, model.predict_proba(np.load({str(tmp_path / 'images.npy')!r})))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "told.npy"), fitted.predict_proba(images))


def test_paths_and_arrays_agree(fitted, bright, tmp_path):
    images, labels = bright
    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    paths = [str(tmp_path / f"{index}.png") for index in range(len(images))]
    np.testing.assert_array_equal(fitted.predict_proba(paths), fitted.predict_proba(images))
    np.testing.assert_array_equal(fitted.predict_proba(np.array(paths)), fitted.predict_proba(list(images)))
    assert estimator().fit(paths, labels).predict(paths[:3]).shape == (3,)


def test_cross_val_score(bright):
    groups = np.repeat(np.arange(12), 4)
    scores = cross_val_score(
        estimator(), *bright, groups=groups, cv=GroupKFold(2), scoring="roc_auc", error_score="raise"
    )
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()


def test_grid_search(bright):
    search = GridSearchCV(estimator(), {"learning_rate": [1e-4, 1e-3]}, cv=2, error_score="raise").fit(*bright)
    assert search.best_params_["learning_rate"] in {1e-4, 1e-3}
    assert search.predict(bright[0]).shape == (48,)


def test_groups_reach_fit_within_a_search(bright, monkeypatch):
    """As the how-to says; a fit that does not get them may validate on patients that it trains on."""
    images, labels = bright
    groups = np.array([f"patient {index // 4}" for index in range(len(images))])
    fitted_with = []

    @functools.wraps(MedsynthClassifier.fit)
    def fit(self, X, y, sample_weight=None, groups=None):
        fitted_with.append(None if groups is None else set(groups))
        return self

    monkeypatch.setattr(MedsynthClassifier, "fit", fit)
    options = {"cv": GroupKFold(2), "scoring": lambda *_: 0.5, "error_score": "raise"}
    with sklearn.config_context(enable_metadata_routing=True):
        model = estimator().set_fit_request(groups=True)
        GridSearchCV(model, {"epochs": [1, 2]}, **options).fit(images, labels, groups=groups)
        one, other, *rest = fitted_with
        assert one
        assert one.isdisjoint(other)
        assert one | other == set(groups)
        assert rest == [one, other, one | other]  # The second candidate, and the best one on all images.
        for ask in (cross_val_score, cross_validate):
            fitted_with.clear()
            ask(model, images, labels, params={"groups": groups}, **options)
            assert fitted_with == [one, other]


def test_pipeline(bright):
    images, labels = bright
    steps = [("invert", FunctionTransformer(lambda X: 255 - X)), ("classify", estimator())]
    pipeline = Pipeline(steps).set_params(classify__epochs=2).fit(images, labels)
    assert pipeline.named_steps["classify"].outcome_["epochs"] == 2
    np.testing.assert_array_equal(
        pipeline.predict_proba(images), pipeline.named_steps["classify"].predict_proba(255 - images)
    )


def test_sample_weights_decide_between_contradictory_labels(bright):
    """Every image twice, once with each label; the weights say which of them counts."""
    images, labels = bright
    other = np.where(labels == "bright", "dark", "bright")
    both, named = np.concatenate([images, images]), np.concatenate([labels, other])
    for first, second, right in ((1.0, 0.0, labels), (0.0, 1.0, other)):
        weights = np.repeat([first, second], len(images))
        made = estimator(epochs=12, augmentation=False, validation_fraction=0.1)
        made.fit(both, named, sample_weight=weights)
        told = made.predict_proba(images)[np.arange(len(images)), np.searchsorted(made.classes_, right)]
        assert told.mean() > 0.5


def test_equal_sample_weights_change_nothing(bright):
    one = estimator().fit(*bright)
    other = estimator().fit(*bright, sample_weight=np.full(48, 7.0))
    np.testing.assert_allclose(one.predict_proba(bright[0]), other.predict_proba(bright[0]), atol=1e-5)


@pytest.mark.parametrize("weights", [np.ones(47), -np.ones(48), np.full(48, np.nan), np.zeros(48)])
def test_sample_weights_that_cannot_be(bright, weights):
    with pytest.raises(DataError, match="sample_weight"):
        estimator().fit(*bright, sample_weight=weights)


def test_groups_keep_patients_out_of_validation(bright, tmp_path):
    images, labels = bright
    groups = np.repeat(np.arange(12), 4)
    made = estimator(out=tmp_path / "kept").fit(images, labels, groups=groups)
    assert (tmp_path / "kept" / "classifier.onnx").read_bytes() == made.onnx_
    lines = (tmp_path / "kept" / "run" / "data.csv").read_text().splitlines()[1:]
    parts: dict[str, set[str]] = {}
    for line in lines:
        _, _, group, part = line.split(",")
        parts.setdefault(group, set()).add(part)
    assert all(len(each) == 1 for each in parts.values())
    assert set().union(*parts.values()) == {"train", "validation"}


def test_bad_input_is_told_in_one_line(bright):
    images, labels = bright
    with pytest.raises(DataError, match="one entry per image, 48"):
        estimator().fit(images, labels[:47])
    with pytest.raises(DataError, match="at least 2 classes"):
        estimator().fit(images, ["one"] * 48)
    with pytest.raises(DataError, match="X must be images"):
        estimator().fit(images.reshape(48, -1), labels)
    with pytest.raises(ConfigError, match="validation_fraction"):
        estimator(validation_fraction=1.0).fit(images, labels)
    with pytest.raises(ConfigError, match="must not repeat parameters of the estimator"):
        estimator(settings={"epochs": 3}).fit(images, labels)
    with pytest.raises(ValueError, match="Unknown label type"):
        estimator().fit(images, np.linspace(0, 1, 48))
