"""Against plain loops over the papers' equations."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from medsynth.default_plugins.acgan import losses


def _d2d_by_loops(embedded, labels, proxies, margin, temperature):
    f = [row / np.linalg.norm(row) for row in embedded]
    v = [row / np.linalg.norm(row) for row in proxies]
    total = 0.0
    for i, label in enumerate(labels):
        positive = math.exp(min(float(f[i] @ v[label]) - margin, 0.0) / temperature)
        negative = sum(
            math.exp(max(float(f[i] @ f[j]) - (1 - margin), 0.0) / temperature)
            for j, other in enumerate(labels)
            if other != label
        )
        total -= math.log(positive / (positive + negative))
    return total / len(labels)


@given(
    count=st.integers(2, 12), classes=st.integers(2, 4), margin=st.floats(0.6, 1.0), temperature=st.floats(0.1, 2.0),
    seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_data_to_data_is_the_papers_equation(count, classes, margin, temperature, seed):
    rng = np.random.default_rng(seed)
    embedded, proxies = rng.normal(size=(count, 6)), rng.normal(size=(classes, 6))
    labels = rng.integers(0, classes, count)
    found = losses.data_to_data(
        embedded.astype("float32"), labels, proxies.astype("float32"), margin=margin, temperature=temperature
    )
    assert float(found) == pytest.approx(_d2d_by_loops(embedded, labels, proxies, margin, temperature), abs=2e-4)


def test_data_to_data_is_not_the_row_max_variant():
    # StudioGAN subtracts the row's largest negative from the negatives, and not from the positive.
    rng = np.random.default_rng(0)
    embedded, proxies, labels = rng.normal(size=(32, 16)), rng.normal(size=(2, 16)), np.arange(32) % 2
    f, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (embedded, proxies))
    positive = np.minimum((f * v[labels]).sum(1) - 0.98, 0) / 0.5
    negative = np.maximum(f @ f.T - 0.02, 0) / 0.5
    negative -= negative.max(1, keepdims=True)
    others = labels[:, None] != labels[None]
    variant = -np.log(np.exp(positive) / (np.exp(positive) + (np.exp(negative) * others).sum(1))).mean()
    found = losses.data_to_data(
        embedded.astype("float32"), labels, proxies.astype("float32"), margin=0.98, temperature=0.5
    )
    assert abs(float(found) - variant) > 0.1


def test_one_class_alone_has_no_negatives():
    found = losses.data_to_data(
        np.eye(4, dtype="float32"), np.zeros(4, int), np.eye(2, 4, dtype="float32"), margin=0.98, temperature=0.5
    )
    assert float(found) == pytest.approx(0.0, abs=1e-5)


def test_the_gradient_of_data_to_data_does_not_grow_with_the_embedding():
    # Why ReACGAN normalises: the softmax head's gradient at its weights does grow, and early collapse comes with it.
    rng = np.random.default_rng(1)
    embedded, labels = rng.normal(size=(8, 5)).astype("float32"), np.arange(8) % 2
    proxies = tf.Variable(rng.normal(size=(2, 5)).astype("float32"))

    def size(loss, scale):
        with tf.GradientTape() as tape:
            value = loss(embedded * scale)
        return float(tf.norm(tape.gradient(value, proxies)))

    def d2d(rows):
        return losses.data_to_data(rows, labels, proxies, margin=0.98, temperature=0.5)

    assert size(d2d, 100.0) == pytest.approx(size(d2d, 1.0), rel=1e-4)
    assert size(lambda rows: losses.auxiliary(rows, labels, proxies), 100.0) > 10 * size(
        lambda rows: losses.auxiliary(rows, labels, proxies), 1.0
    )


def test_hinge_and_penalty():
    real, fake = np.array([[2.0], [0.5]], "float32"), np.array([[-3.0], [0.25]], "float32")
    assert float(losses.hinge_discriminator(real, fake)) == pytest.approx((0 + 0.5) / 2 + (0 + 1.25) / 2)
    assert float(losses.hinge_generator(fake)) == pytest.approx(2.75 / 2)
    assert float(losses.penalty(np.full((2, 2, 2, 1), 3.0, "float32"))) == pytest.approx(0.5 * 4 * 9)


def test_auxiliary_is_cross_entropy():
    rng = np.random.default_rng(2)
    embedded, proxies, labels = rng.normal(size=(6, 4)), rng.normal(size=(3, 4)), rng.integers(0, 3, 6)
    logits = embedded @ proxies.T
    expected = -(logits[np.arange(6), labels] - np.log(np.exp(logits).sum(1))).mean()
    found = losses.auxiliary(embedded.astype("float32"), labels, keras.ops.cast(proxies, "float32"))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def _energy_by_loops(real, fake, labels):
    def mean(left, right, apart):
        found = []
        for i, label in enumerate(labels):
            for j, other in enumerate(labels):
                if label == other and not (apart and i == j):
                    levels = zip(left, right, strict=True)
                    found.append(np.mean([math.sqrt(float(((a[i] - b[j]) ** 2).mean())) for a, b in levels]))
        return sum(found) / max(len(found), 1)

    return 2 * mean(real, fake, False) - mean(fake, fake, True)


@given(count=st.integers(1, 9), classes=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_energy_distance_is_the_papers_equation(count, classes, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    real, fake = ([rng.normal(size=(count, size)).astype("float32") for size in (3, 8)] for _ in range(2))
    found = float(losses.energy_distance(real, fake, tf.constant(labels)))
    assert found == pytest.approx(_energy_by_loops(real, fake, labels), rel=1e-3, abs=1e-3)


def test_energy_distance_is_least_where_both_are_distributed_alike():
    rng, labels = np.random.default_rng(0), tf.zeros(400, "int32")
    real = rng.normal(size=(400, 6)).astype("float32")
    told = {
        spread: float(losses.energy_distance([real], [(spread * rng.normal(size=(400, 6))).astype("float32")], labels))
        for spread in (0.0, 0.5, 1.0, 1.5, 3.0)
    }
    assert min(told, key=told.get) == 1.0
    assert told[0.0] > told[0.5]
    assert told[3.0] > told[1.5]


def test_energy_distance_pushes_equal_images_of_a_class_apart_with_finite_strength():
    labels = tf.constant([0, 0, 1])
    real = tf.constant([[1.0, 0.0], [-1.0, 0.0], [5.0, 5.0]])
    fake = tf.Variable([[0.0, 0.1], [0.0, -0.1], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = losses.energy_distance([real], [fake], labels)
    gradient = tape.gradient(loss, fake).numpy()
    assert np.isfinite(gradient).all()
    assert gradient[0, 1] < 0 < gradient[1, 1]  # downhill lies away from the other
    assert (gradient[2] < 0).all()  # alone, it is only drawn to the real one
    with tf.GradientTape() as tape:
        loss = losses.energy_distance([real], [fake * 0.0], labels)
    assert np.isfinite(tape.gradient(loss, fake).numpy()).all()
