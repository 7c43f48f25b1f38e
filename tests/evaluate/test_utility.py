from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from medsynth.evaluate import arms as arms_module
from medsynth.evaluate import augmented as augmented_module
from medsynth.evaluate.arms import drawn, plans
from medsynth.evaluate.augmented import Augmented, change
from medsynth.evaluate.learners import Learner, probe, retrained
from medsynth.evaluate.sides import Side
from medsynth.evaluate.utility import measure_utility
from medsynth.metrics import Resampling

FEW = Resampling(resamples=200)


def side(count, seed, *, apart=0.5, wide=6):
    """Two normal clouds; two rows to a group."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) // 2 % 2
    features = random.normal(size=(count, wide)) + apart * labels[:, None]
    groups = tuple(f"{seed}-{index // 2}" for index in range(count))
    images = np.zeros((count, 2, 2, 1), np.uint8)
    return Side(images=images, labels=labels, features=features.astype(np.float32), groups=groups)


def changed(train, count, seed=3):
    """Rows near training rows, each of which serves as often as the next."""
    sources = np.resize(np.arange(len(train))[::-1], count)
    noise = np.random.default_rng(seed).normal(size=(count, train.features.shape[1])).astype(np.float32)
    each = train.take(sources)
    return Augmented(images=each.images, labels=each.labels, features=each.features + noise, sources=sources)


def measured(*sides, learner=None, **options):
    return measure_utility(*sides, learner=learner or probe("clouds"), part="test", resampling=FEW, **options)


def arms(report):
    return {(arm.name, arm.tested_on, arm.added): arm for arm in report.arms}


def test_good_images_help_where_real_ones_are_few():
    report = measured(side(16, 0), side(400, 1), side(400, 2))
    lead = report.leading
    assert lead.added == 400
    assert lead.gain.low > 0
    assert lead.p < 0.05
    assert lead.gain.value == pytest.approx(lead.auc.value - arms(report)["real", "real", 0].auc.value)
    assert arms(report)["generated", "real", 400].auc.low > 0.75
    json.dumps(report.to_dict(), allow_nan=False)


def test_swapped_labels_harm():
    made = side(400, 2)
    report = measured(side(60, 0), side(300, 1), replace(made, labels=1 - made.labels))
    assert report.leading.gain.high < 0
    assert arms(report)["generated", "real", 400].auc.high < 0.5
    assert arms(report)["real", "generated", 0].auc.value < 0.5


def test_images_of_enough_patients_need_no_more():
    report = measured(side(600, 0), side(200, 1), side(100, 2))
    assert report.leading.gain.low < 0 < report.leading.gain.high
    assert report.leading.p > 0.05


def test_the_probe_is_scikit_learns_with_equal_weights(monkeypatch):
    real, test = side(40, 0), side(100, 1)
    monkeypatch.setattr(arms_module, "drawn", lambda each, seed: np.arange(len(each)))
    found = arms(measured(real, test, side(40, 2), seeds=1))["real", "real", 0]
    scaler = StandardScaler().fit(real.features.astype(float))
    fit = LogisticRegression(C=0.01 * 1000 / 40, max_iter=300).fit(scaler.transform(real.features), real.labels)
    expected = roc_auc_score(test.labels, fit.predict_proba(scaler.transform(test.features))[:, 1])
    assert found.auc.value == pytest.approx(expected, abs=1e-3)
    assert found.gain.value is None


def test_every_arm_of_a_seed_has_the_same_patients():
    train = side(40, 0)
    rows = drawn(train, 3)
    assert len(rows) == 40
    np.testing.assert_array_equal(rows, drawn(train, 3))
    assert not np.array_equal(rows, drawn(train, 4))
    assert set(train.labels[rows]) == {0, 1}
    assert set(rows) < set(range(40))
    groups = [train.groups[row] for row in rows]
    assert all(groups.count(unit) % 2 == 0 for unit in groups)  # Both rows of a patient, or none.


def counting(taught):
    """A learner that writes down what it is taught, and says what the labels of its tests are."""

    def learn(learned, seed):
        taught.append((seed, len(learned), learned.features.sum()))
        return lambda other: np.eye(2)[other.labels]

    return Learner(name="retrained network", description="perfect", space=None, learn=learn)


def test_each_arm_and_seed_is_taught_once():
    taught = []
    real = side(16, 0)
    report = measured(real, side(20, 1), side(20, 2), augmented=changed(real, 20), seeds=2, learner=counting(taught))
    assert [count for seed, count, _ in taught if seed == 0] == [16, 20, 21, 26, 36, 36]
    assert len(taught) == len(set(taught)) == 12
    assert report.to_dict()["learner"] == "retrained network"
    assert report.space is None
    assert all(arm.auc.value == 1.0 and not arm.error for arm in report.arms)
    assert [arm.tested_on for arm in report.arms] == ["real"] * 6 + ["generated"]
    assert report.leading.gain.value == 0.0
    assert report.leading.p == 1.0


def test_a_retrained_network_sees_images():
    class Network:
        description = "the mean grey level"

        def __call__(self, images, labels, seed):
            assert images.dtype == np.uint8
            assert set(labels.tolist()) == {0, 1}
            middle = np.mean([images[labels == label].mean() for label in (0, 1)])

            def predict(others):
                chance = 1 / (1 + np.exp((middle - others.mean(axis=(1, 2, 3))) / 10))
                return np.stack([1 - chance, chance], axis=1)

            return predict

    def shaded(seed):
        each = side(40, seed)
        grey = 100 + 20 * each.labels + np.random.default_rng(seed).integers(-20, 20, 40)
        return replace(each, images=np.broadcast_to(grey[:, None, None, None], (40, 2, 2, 1)).astype(np.uint8))

    report = measured(shaded(0), shaded(1), shaded(2), learner=retrained(Network()))
    assert report.description == "the mean grey level"
    assert report.arms[0].auc.value > 0.8
    assert all(arm.error is None for arm in report.arms)


def test_augmented_images_are_an_arm_of_their_own():
    real = side(40, 0)
    report = measured(real, side(100, 1), side(40, 2), augmented=changed(real, 40))
    assert arms(report)["real + augmented", "real", 40].gain.value is not None


@pytest.mark.parametrize("count", [30, 40, 100])
def test_augmented_images_bring_no_patient_back_that_a_draw_left_out(count):
    train, made = side(40, 0), side(20, 2)
    augmented = changed(train, count)
    plan = next(plan for plan in plans(train, made, augmented, 5) if plan.name == "real + augmented")
    assert plan.added == count
    for seed, rows in enumerate(plan.rows):
        real, more = rows[: len(train)], rows[len(train) :] - len(train) - len(made)
        np.testing.assert_array_equal(real, drawn(train, seed))
        assert len(more) == count
        sources = augmented.sources[more]
        patients = [{train.groups[row] for row in each} for each in (real, sources)]
        assert patients[1] <= patients[0] < set(train.groups)
        times = np.bincount(more, minlength=count)[np.isin(augmented.sources, real)]
        assert times.max() - times.min() <= 1  # Each serves as often as the next.


def test_an_arm_that_fails_is_a_row():
    made = side(40, 2)
    report = measured(side(40, 0), side(100, 1), replace(made, labels=np.zeros(40, np.int64)))
    failed = arms(report)["generated", "real", 40]
    assert "images of every class" in failed.error
    assert report.leading.error is None
    none = measured(side(40, 0), side(0, 1), made)
    assert all(arm.error for arm in none.arms if arm.tested_on == "real")


def test_augmented_images_stay_images(load, data):
    from medsynth.evaluate import FeatureNetwork
    from medsynth.evaluate.sides import read_side

    network = FeatureNetwork.of(load("classifier.onnx"))
    train = read_side(data, "train", load("generator.onnx"), network)
    more = augmented_module.augment_side(train, 2 * len(train), network)
    assert more.images.shape == (2 * len(train), 16, 16, 1)
    assert np.bincount(more.labels).tolist() == (2 * np.bincount(train.labels)).tolist()
    assert abs(more.images.mean() - train.images.mean()) < 25
    assert not (more.images[: len(train)] == more.images[len(train) :]).all()
    np.testing.assert_array_equal(train.labels[more.sources], more.labels)
    moved = abs(more.images.astype(int) - train.images[more.sources]).mean()
    mixed = abs(more.images.astype(int) - train.images[more.sources[::-1]]).mean()
    assert moved < mixed


def test_each_change_has_a_draw_of_its_own():
    """Brightness once followed the angle of the rotation."""
    grey = np.full((12, 12, 1), 100, np.uint8)
    found = [change(grey, draw) for draw in np.eye(6)]
    for index, value in enumerate((100, 100, 100, 100, 112, 112)):
        assert (found[index] == value).all()  # No black border, whatever is rotated, scaled or shifted.


@pytest.mark.parametrize("shape", [(32, 32, 1), (20, 33, 3)])
def test_changes_are_those_of_training(shape):
    tf = pytest.importorskip("tensorflow")
    from medsynth.train import augment as trained

    own = augmented_module
    assert trained.ranges() == (own._ROTATION, own._SHIFT, own._SCALE, own._GAIN, own._OFFSET)
    # Grey levels that change smoothly, borders included, so that a pixel's place can be read off it.
    down, across, plane = np.meshgrid(*map(np.arange, shape), indexing="ij")
    image = (120 + 60 * np.sin(down / 3.0 + plane) + 50 * np.cos(across / 4.0)).astype(np.uint8)
    batch = np.repeat(image[None], 24, axis=0)
    seed = (5, 7)
    draws = tf.random.stateless_uniform([len(batch), 7], seed, -1.0, 1.0).numpy()
    expected = trained.augment(tf.constant(batch), seed).numpy().astype(int)
    found = np.stack([change(image, draw[:6].astype(float)) for draw in draws]).astype(int)
    assert abs(found - expected).max() <= 1
    assert abs(batch - expected).max() > 20
