from __future__ import annotations

import numpy as np
import pytest

from medsynth.dataset.audit.likeness import likeness, measure_random_pairs, standardise


def noise(rng, count, width=100):
    return rng.integers(0, 256, (count, width), np.uint8)


def test_likeness_is_pearsons_correlation():
    rng = np.random.default_rng(0)
    thumbs = noise(rng, 1500, 50)
    first, second = rng.integers(0, 1500, (2, 1100))
    expected = [np.corrcoef(thumbs[one], thumbs[other])[0, 1] for one, other in zip(first, second, strict=True)]
    np.testing.assert_allclose(likeness(thumbs, first, second), expected, atol=1e-5)
    assert likeness(thumbs, first[:0], second[:0]).shape == (0,)


def test_a_flat_image_resembles_nothing():
    thumbs = np.stack([np.full(16, 9, np.uint8), np.arange(16, dtype=np.uint8)])
    assert not standardise(thumbs)[0].any()
    assert likeness(thumbs, np.array([0]), np.array([1])) == 0


def test_yardstick_of_unrelated_images():
    yardstick = measure_random_pairs(noise(np.random.default_rng(2), 500), np.arange(500) % 2, None)
    assert yardstick.median == pytest.approx(0, abs=0.01)
    assert yardstick.high == pytest.approx(2.326 / np.sqrt(99), abs=0.01)  # The 99th percentile of the null.
    assert yardstick.copy == 0.90


def test_yardstick_takes_pairs_of_other_groups_only():
    thumbs = np.repeat(noise(np.random.default_rng(3), 60), 5, axis=0)
    groups = np.repeat(np.arange(60), 5)
    assert measure_random_pairs(thumbs, np.zeros(300, int), groups).high < 0.3


def test_too_few_images_have_no_yardstick():
    thumbs = noise(np.random.default_rng(4), 3)
    assert measure_random_pairs(thumbs, np.zeros(3, int), np.zeros(3, int)) is None
    assert measure_random_pairs(thumbs[:0], np.zeros(0, int), None) is None
    assert measure_random_pairs(thumbs[:1], np.zeros(1, int), None) is None
