from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from medsynth.train import augment as module
from medsynth.train.augment import augment


def _picture():
    rows, columns = np.mgrid[:64, :64]
    blob = np.exp(-((rows - 20) ** 2 + (columns - 40) ** 2) / 60)
    return (40 + 150 * blob).astype(np.uint8)[None, ..., None].repeat(6, 0)


def test_the_same_seed_and_step_give_the_same_pixels():
    images = _picture()
    np.testing.assert_array_equal(augment(images, [3, 5]), augment(images, [3, 5]))
    assert (np.asarray(augment(images, [3, 5])) != np.asarray(augment(images, [3, 6]))).any()


def test_changes_stay_small_and_images_are_not_mirrored():
    images = np.concatenate([_picture()] * 20)
    moved = np.asarray(augment(images, [0, 0]))
    assert moved.dtype == np.uint8
    assert moved.shape == images.shape
    centres = np.array([ndimage.center_of_mass(image[..., 0] > image.mean() + 60) for image in moved])
    # Shift 5 % of 64, and the blob (15 from the middle) turned by 8 degrees and scaled by 8 %.
    assert np.abs(centres - [20, 40]).max() < 0.05 * 64 + 15 * (0.14 + 0.09) + 1
    assert centres.std(axis=0).min() > 0.5


def test_against_scipy_for_one_known_change(monkeypatch):
    # All ranges but the rotation's to zero, and the draw read back from the picture's own angle.
    for name in ("SHIFT", "SCALE", "GAIN", "OFFSET"):
        monkeypatch.setattr(module, name, 0.0)
    import tensorflow as tf

    angle = float(tf.random.stateless_uniform([1, 7], [7, 7], -1.0, 1.0)[0, 0]) * module.ROTATION
    image = _picture()[:1]
    turned = np.asarray(augment(image, [7, 7]))[0, ..., 0].astype(float)
    expected = ndimage.rotate(image[0, ..., 0].astype(float), np.degrees(angle), reshape=False, order=1, mode="reflect")
    inner = slice(8, -8)
    assert np.abs(turned[inner, inner] - expected[inner, inner]).max() == pytest.approx(0, abs=2.0)


def test_noise_has_another_strength_in_each_image():
    grey = np.full((200, 32, 32, 1), 128, np.uint8)
    still, noisy = (np.asarray(augment(grey, [1, 2], noise), float) for noise in (0.0, 24.0))
    assert still.std(axis=(1, 2, 3)).max() < 1e-6
    strengths = noisy.std(axis=(1, 2, 3))
    # Uniform between 0 and 24: mean 12, and both ends are met.
    assert strengths.mean() == pytest.approx(12, abs=1.5)
    assert strengths.min() < 2
    assert 21 < strengths.max() < 25
