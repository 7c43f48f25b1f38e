from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from medsynth.train.calibrate import Calibration, fit_calibration, operating_threshold


def _drawn(seed, count, classes, sharpness):
    """Logits whose labels were drawn from softmax(logits / sharpness)."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, classes))
    probabilities = special.softmax(logits / sharpness, axis=1)
    labels = np.array([random.choice(classes, p=row) for row in probabilities])
    return logits.astype(np.float32), labels


@pytest.mark.parametrize(("classes", "sharpness"), [(2, 0.5), (2, 3.0), (3, 1.0), (4, 2.0)])
def test_temperature_and_shift_of_the_draw_are_found_again(classes, sharpness):
    logits, labels = _drawn(0, 6000, classes, sharpness)
    shift = np.linspace(-2, 2, classes).astype(np.float32)
    found = fit_calibration(logits + shift, labels)
    assert found.temperature == pytest.approx(sharpness, rel=0.12)
    np.testing.assert_allclose(found.bias, -shift / found.temperature, atol=0.2)
    assert sum(found.bias) == pytest.approx(0, abs=1e-9)


def test_two_classes_are_calibrated_as_platt_does():
    from sklearn.linear_model import LogisticRegression

    logits, labels = _drawn(1, 3000, 2, 2.0)
    logits[:, 1] += 3
    odds = (logits[:, 1] - logits[:, 0]).astype(float)
    platt = LogisticRegression(C=np.inf).fit(odds[:, None], labels)
    expected = platt.predict_proba(odds[:, None])
    found = fit_calibration(logits, labels).probabilities(logits)
    # Platt's targets differ from the labels by 1 / (n + 2).
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert found[:, 1].mean() == pytest.approx(labels.mean(), abs=1e-3)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 4), st.floats(0.3, 4))
def test_no_other_calibration_has_a_lower_loss(seed, classes, sharpness):
    logits, labels = _drawn(seed, 60, classes, sharpness)
    labels[:classes] = np.arange(classes)
    count = np.bincount(labels, minlength=classes)
    own = (count + 1) / (count + 2)
    targets = np.where(
        np.eye(classes, dtype=bool)[labels], own[labels][:, None], (1 - own[labels][:, None]) / (classes - 1)
    )

    def loss(temperature, bias):
        return -(targets * special.log_softmax(logits.astype(float) / temperature + bias, axis=1)).sum(axis=1).mean()

    found = fit_calibration(logits, labels)
    least = loss(found.temperature, np.array(found.bias))
    random = np.random.default_rng(seed)
    for _ in range(20):
        temperature = np.clip(found.temperature * np.exp(random.normal(0, 0.1)), 1 / 20, 20)
        assert least <= loss(temperature, found.bias + random.normal(0, 0.1, classes)) + 1e-9


def test_a_validation_part_without_an_error_gives_no_certainty():
    labels = np.array([0, 1] * 20)
    logits = np.where(labels[:, None] == [0, 1], 4.0, -4.0).astype(np.float32)
    probabilities = fit_calibration(logits, labels).probabilities(logits)
    assert probabilities[0, 0] == pytest.approx(21 / 22, abs=1e-4)


def test_scores_that_say_the_opposite_give_a_temperature_at_its_bound():
    labels = np.array([0, 1] * 20)
    logits = np.where(labels[:, None] == [0, 1], -4.0, 4.0).astype(np.float32)
    assert fit_calibration(logits, labels).temperature == pytest.approx(20)


def test_softmax_against_scipy():
    logits = np.random.default_rng(0).normal(0, 200, (50, 3)).astype(np.float32)
    found = Calibration(7.0, (0.5, -1.0, 0.5)).probabilities(logits)
    expected = special.softmax(logits.astype(float) / 7.0 + [0.5, -1.0, 0.5], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


@given(st.integers(0, 1000), st.floats(0.05, 1.0))
def test_the_threshold_is_the_highest_with_the_sensitivity(seed, sensitivity):
    random = np.random.default_rng(seed)
    positive = random.random(40) < 0.4
    positive[:2] = [True, False]
    scores = random.random(40).astype(np.float32).round(2)
    threshold = operating_threshold(positive, scores, sensitivity)
    assert (scores[positive] >= threshold).mean() >= sensitivity - 1e-9
    higher = scores[positive & (scores > threshold)]
    assert len(higher) / positive.sum() < sensitivity
