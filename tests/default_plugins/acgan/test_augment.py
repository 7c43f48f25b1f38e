from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from medsynth.default_plugins.acgan.augment import CHANGES, diff_augment, next_probability


def _images(count=64, side=16):
    return np.random.default_rng(0).uniform(-1, 1, (count, side, side, 1)).astype("float32")


def _changed(images, *changes):
    return np.asarray(diff_augment(tf.constant(images), changes, keras.random.SeedGenerator(3)))


def test_nothing_asked_nothing_done():
    assert np.array_equal(_changed(_images()), _images())


def test_translation_moves_by_whole_pixels_and_brings_in_black():
    images = _images()
    seen = set()
    for before, after in zip(images[..., 0], _changed(images, "translation")[..., 0], strict=True):
        shifts = {}
        for down in range(-2, 3):
            for right in range(-2, 3):
                moved = np.full_like(before, -1.0)
                rows, columns = slice(max(down, 0), 16 + min(down, 0)), slice(max(right, 0), 16 + min(right, 0))
                moved[rows, columns] = before[max(-down, 0) : 16 - max(down, 0), max(-right, 0) : 16 - max(right, 0)]
                shifts[down, right] = np.abs(moved - after).max()
        best = min(shifts, key=shifts.get)
        assert shifts[best] < 1e-5
        seen.add(best)
    assert len(seen) > 10


def test_cutout_covers_a_quarter_or_less_with_grey():
    images = _images()
    changed = _changed(images, "cutout")
    covered = changed != images
    assert (changed[covered] == 0).all()
    share = covered.mean((1, 2, 3))
    assert share.max() == pytest.approx(0.25, abs=0.01)
    assert share.min() < 0.15


def test_brightness_and_contrast_are_affine_in_the_image():
    images = _images()
    brighter = _changed(images, "brightness") - images
    assert np.ptp(brighter, axis=(1, 2, 3)).max() < 1e-5
    assert np.abs(brighter).max() <= 0.5
    contrasted = _changed(images, "contrast")
    scale = contrasted.std((1, 2, 3)) / images.std((1, 2, 3))
    assert scale.min() >= 0.5 - 1e-3
    assert scale.max() <= 1.5 + 1e-3
    np.testing.assert_allclose(contrasted.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=1e-5)


def test_left_stays_left():
    # A flip would exchange the sides of a patient.
    images = np.full((256, 16, 16, 1), -1.0, "float32")
    images[:, 4:12, 3] = 1.0
    changed = _changed(images, "brightness", "contrast", "translation")
    assert (changed[:, :, :8].max((1, 2, 3)) > changed[:, :, 8:].max((1, 2, 3))).all()


def test_gradients_reach_the_images():
    images = tf.constant(_images(4))
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(diff_augment(images, CHANGES, keras.random.SeedGenerator(3)) ** 2)
    assert np.abs(tape.gradient(total, images)).max() > 0


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_made_with_its_probability(change):
    images = _images(512)

    def changed(probability):
        seed = keras.random.SeedGenerator(3)
        return np.asarray(diff_augment(tf.constant(images), (change,), seed, probability=probability))

    assert np.array_equal(changed(0.0), images)
    assert np.array_equal(changed(1.0), _changed(images, change))
    moved = (changed(0.25) != images).any((1, 2, 3))
    # Each is all or nothing: the same change as with certainty, or none. A shift by no pixel is one of 25.
    assert np.array_equal(changed(0.25)[moved], changed(1.0)[moved])
    assert moved.mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 512))


def test_changes_are_independent_of_each_other():
    images = np.zeros((512, 16, 16, 1), "float32")
    seed = keras.random.SeedGenerator(3)
    changed = np.asarray(diff_augment(tf.constant(images), ("brightness", "cutout"), seed, probability=0.5))
    brighter = changed.max((1, 2, 3)) - changed.min((1, 2, 3)) > 0  # A hole shows on a brighter image only.
    assert brighter.mean() == pytest.approx(0.25, abs=0.08)


@pytest.mark.parametrize(
    ("before", "logits", "after"),
    [
        (0.5, [3.0, 0.1, 2.0, 1.0], 0.5 + 4 / 30_000),  # all called real: sign 1
        (0.5, [3.0, 0.1, 2.0, -1.0], 0.5 - 4 / 30_000),  # sign 0.5
        (0.0, [-1.0, -1.0, 1.0, 1.0], 0.0),
        (1.0, [3.0, 3.0, 3.0, 3.0], 1.0),
    ],
)
def test_the_probability_follows_how_sure_the_discriminator_is(before, logits, after):
    found = next_probability(tf.constant(before), tf.constant(logits)[:, None], target=0.6, count=4)
    assert float(found) == pytest.approx(after, rel=1e-6)


def test_alike_changes_equal_images_equally():
    images = np.repeat(_images(1), 8, axis=0)

    def changed(alike):
        return np.asarray(diff_augment(tf.constant(images), CHANGES, keras.random.SeedGenerator(3), alike=alike))

    assert (changed(True) == changed(True)[:1]).all()
    assert (changed(True) != images).any()
    assert (changed(False)[1:] != changed(False)[:1]).any((1, 2, 3)).all()
