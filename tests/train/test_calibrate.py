from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from medsynth.train.calibrate import fit_temperature, operating_threshold, softmax


def _drawn(seed, count, classes, sharpness):
    """Logits whose labels were drawn from softmax(logits / sharpness)."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, classes))
    probabilities = special.softmax(logits / sharpness, axis=1)
    labels = np.array([random.choice(classes, p=row) for row in probabilities])
    return logits.astype(np.float32), labels


@pytest.mark.parametrize(("classes", "sharpness"), [(2, 0.5), (2, 3.0), (3, 1.0), (4, 2.0)])
def test_the_temperature_of_the_draw_is_found_again(classes, sharpness):
    logits, labels = _drawn(0, 6000, classes, sharpness)
    assert fit_temperature(logits, labels) == pytest.approx(sharpness, rel=0.12)


@given(st.integers(0, 1000), st.integers(2, 4), st.floats(0.3, 4))
def test_no_other_temperature_has_a_lower_loss(seed, classes, sharpness):
    logits, labels = _drawn(seed, 60, classes, sharpness)
    count = np.bincount(labels, minlength=classes)
    own = (count + 1) / (count + 2)
    targets = np.where(
        np.eye(classes, dtype=bool)[labels], own[labels][:, None], (1 - own[labels][:, None]) / (classes - 1)
    )

    def loss(log_temperature):
        return (
            -(targets * special.log_softmax(logits.astype(float) / np.exp(log_temperature), axis=1)).sum(axis=1).mean()
        )

    best = optimize.minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded")
    assert loss(np.log(fit_temperature(logits, labels))) <= best.fun + 1e-9


def test_a_validation_part_without_an_error_gives_no_certainty():
    labels = np.array([0, 1] * 20)
    logits = np.where(labels[:, None] == [0, 1], 4.0, -4.0).astype(np.float32)
    probabilities = softmax(logits, fit_temperature(logits, labels))
    assert probabilities[0, 0] == pytest.approx(21 / 22, abs=1e-4)


def test_softmax_against_scipy():
    logits = np.random.default_rng(0).normal(0, 200, (50, 3)).astype(np.float32)
    np.testing.assert_allclose(softmax(logits, 7.0), special.softmax(logits / 7.0, axis=1), rtol=1e-4, atol=1e-7)


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
