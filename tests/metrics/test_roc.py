from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from medsynth.metrics import Resampling, Rows, area_under, roc_band, roc_curve, score, youden_threshold
from medsynth.metrics.bootstrap import resample


@pytest.mark.parametrize("decimals", [None, 1])
def test_curve_equals_scikit_learn(make_task, decimals):
    task = make_task(200, decimals=decimals)
    positive, scores = task.labels == 1, task.probabilities[:, 1]
    fpr, tpr, thresholds = roc_curve(positive, scores, np.ones((1, 200)))
    expected = sk.roc_curve(positive, scores, drop_intermediate=False)
    for ours, theirs in zip((fpr[0], tpr[0], thresholds), expected, strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_weighted_curves_equal_scikit_learn(make_task):
    task = make_task(80, decimals=1)
    positive, scores = task.labels == 1, task.probabilities[:, 1]
    weights = np.random.default_rng(0).integers(1, 5, (3, 80)).astype(float)
    areas = area_under(*roc_curve(positive, scores, weights)[:2])
    expected = [sk.roc_auc_score(positive, scores, sample_weight=line) for line in weights]
    np.testing.assert_allclose(areas, expected)


def test_without_a_positive_row_the_curve_is_not_a_number():
    fpr, tpr, _ = roc_curve(np.array([True, False]), np.array([0.2, 0.1]), np.array([[0.0, 1.0]]))
    assert np.isnan(tpr).all()
    assert not np.isnan(fpr).any()
    assert np.isnan(area_under(fpr, tpr)).all()


def test_band_reads_the_upper_end_of_a_step():
    band = roc_band(np.array([[0.0, 0.0, 0.5, 0.5, 1.0]]), np.array([[0.0, 0.4, 0.4, 1.0, 1.0]]))
    assert band.shape == (1, 101)
    assert (band[0, 0], band[0, 49], band[0, 50], band[0, 100]) == (0.4, 0.4, 1.0, 1.0)


def test_stored_curve_keeps_its_area_and_its_corners(make_task):
    task = make_task(150)
    curve = score(Rows.of(task.labels, task.probabilities)).roc[1]
    assert curve is not None
    expected = sk.roc_auc_score(task.labels, task.probabilities[:, 1])
    assert area_under(curve.fpr, curve.tpr) == pytest.approx(expected)
    assert len(curve.fpr) < 151
    assert curve.band_low is not None
    assert curve.band_high is not None
    inside = np.interp(np.linspace(0, 1, 101), curve.fpr, curve.tpr)
    assert (curve.band_low <= curve.band_high).all()
    assert ((inside >= curve.band_low) & (inside <= curve.band_high)).mean() > 0.95


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_youden_threshold_is_the_best_of_all_cuts(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    positive = np.arange(count) % 2 == 0
    scores = np.round(rng.random(count) + 0.3 * positive, 1)

    def youden(threshold: float) -> float:
        called = scores >= threshold
        return float(called[positive].mean() - called[~positive].mean())

    best = max(youden(cut) for cut in (*scores, np.inf))
    chosen = youden_threshold(positive, scores)
    if best > 0:
        assert youden(chosen) == best
        assert chosen == 0.5 or chosen not in scores  # between two scores, so that no row sits on it
    else:
        assert chosen == 0.5


@pytest.mark.parametrize("kind", [True, False])
def test_the_band_of_an_undefined_curve_is_not_a_number(kind):
    """Rows of one kind alone have no curve, whichever kind that is."""
    positive = np.array([True, True, False, False])
    weights = np.array([positive == kind, np.ones(4)], float)
    band = roc_band(*roc_curve(positive, np.array([0.9, 0.4, 0.6, 0.1]), weights)[:2])
    assert np.isnan(band[0]).all()
    assert not np.isnan(band[1]).any()


def test_resamples_without_a_negative_take_no_part_in_the_band():
    """One negative patient of ten: about a third of the resamples have none."""
    labels = np.array([0] + [1] * 9)
    scores = np.array([0.3, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99])
    rows = Rows.of(labels, np.stack([1 - scores, scores], axis=1))
    curve = score(rows, Resampling(resamples=400)).roc[1]
    weights = np.concatenate(list(resample(rows, Resampling(resamples=400))))
    positive, above = rows.labels == 1, rows.probabilities[:, 1] > 0.3
    defined = weights[(weights[:, ~positive] > 0).any(axis=1)]
    assert 200 < len(defined) < 300
    # Before the one negative is called: the share of the drawn positives that score above it.
    found = defined[:, above].sum(axis=1) / defined[:, positive].sum(axis=1)
    low, high = np.percentile(found, (2.5, 97.5))
    np.testing.assert_allclose(curve.band_low[:100], low)
    np.testing.assert_allclose(curve.band_high[:100], high)


def test_without_a_band_there_is_none():
    """Of two images half of the resamples hold one class; a band of NaN would be no JSON."""
    rows = Rows.of([0, 1], [[0.9, 0.1], [0.2, 0.8]])
    found = [score(rows, Resampling(resamples=9, seed=seed)).roc[1] for seed in range(12)]
    assert {curve.band_low is None for curve in found} == {True, False}
    for curve in found:
        assert (curve.band_low is None) == (curve.band_high is None)
        assert curve.band_low is None or np.isfinite(curve.band_low).all()
