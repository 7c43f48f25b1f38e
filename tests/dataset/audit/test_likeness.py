from __future__ import annotations

import numpy as np
import pytest

from medsynth.dataset.audit.likeness import alike_across, likeness, measure_random_pairs


def standardised(rng, count, width=100):
    rows = rng.normal(size=(count, width)).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_likeness_is_pearsons_correlation():
    rng = np.random.default_rng(0)
    raw = rng.normal(3, 2, (1500, 50))
    thumbs = raw - raw.mean(axis=1, keepdims=True)
    thumbs = (thumbs / np.linalg.norm(thumbs, axis=1, keepdims=True)).astype(np.float32)
    first, second = rng.integers(0, 1500, (2, 1100))
    expected = [np.corrcoef(raw[one], raw[other])[0, 1] for one, other in zip(first, second, strict=True)]
    np.testing.assert_allclose(likeness(thumbs, first, second), expected, atol=1e-5)
    assert likeness(thumbs, first[:0], second[:0]).shape == (0,)


def test_pairs_across_are_all_pairs_above_the_limit():
    rng = np.random.default_rng(1)
    thumbs = standardised(rng, 1300, 20)
    here, there = np.arange(0, 700), np.arange(700, 1300)
    pairs = {(one, other) for one, other, _ in alike_across(thumbs, here, there, 0.6)}
    whole = np.corrcoef(thumbs)[:700, 700:]
    clear = np.abs(whole - 0.6) > 1e-5
    expected = {(int(i), int(j) + 700) for i, j in zip(*np.nonzero((whole >= 0.6) & clear), strict=True)}
    assert expected
    assert expected <= pairs <= {(int(i), int(j) + 700) for i, j in zip(*np.nonzero(whole >= 0.6 - 1e-5), strict=True)}


def test_yardstick_of_unrelated_images():
    thumbs = standardised(np.random.default_rng(2), 500)
    yardstick = measure_random_pairs(thumbs, np.arange(500) % 2, None)
    assert yardstick.median == pytest.approx(0, abs=0.01)
    assert yardstick.high == pytest.approx(2.326 / np.sqrt(99), abs=0.01)  # The 99th percentile of the null.
    assert yardstick.copy == 0.90


def test_yardstick_takes_pairs_of_other_groups_only():
    rng = np.random.default_rng(3)
    thumbs = np.repeat(standardised(rng, 60), 5, axis=0)
    groups = np.repeat(np.arange(60), 5)
    assert measure_random_pairs(thumbs, np.zeros(300, int), groups).high < 0.3


def test_too_few_images_have_no_yardstick():
    thumbs = standardised(np.random.default_rng(4), 3)
    assert measure_random_pairs(thumbs, np.zeros(3, int), np.zeros(3, int)) is None
    assert measure_random_pairs(thumbs[:0], np.zeros(0, int), None) is None
    assert measure_random_pairs(thumbs[:1], np.zeros(1, int), None) is None
