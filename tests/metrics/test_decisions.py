"""Reliability, precision over recall and operating points against scikit-learn and Bayes' rule."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from medsynth.errors import ConfigError, DataError
from medsynth.metrics import (
    Resampling,
    Rows,
    calibration_error,
    operating_point,
    precision_recall,
    reliability,
)
from medsynth.metrics.roc import GRID

FEW = Resampling(resamples=200)


def drawn(n=160, groups=None, seed=0, **settings):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    # Ties, but none on the edge of a bin.
    score = np.clip(rng.normal(0.35 + 0.3 * labels, 0.2), 0.01, 0.99).round(2) + 0.003
    return labels, score, Rows.of(labels, np.column_stack([1 - score, score]), groups=groups, **settings)


def test_reliability_is_scikit_learns_and_sums_to_the_calibration_error():
    labels, score, rows = drawn()
    curve = reliability(rows, 1, FEW)
    filled = curve.counts > 0
    frequency, mean = calibration_curve(labels, score, n_bins=15)
    np.testing.assert_allclose(curve.frequency[filled], frequency)
    np.testing.assert_allclose(curve.mean[filled], mean)
    assert curve.counts.sum() == len(rows)
    gap = np.nansum(curve.counts * np.abs(curve.mean - curve.frequency)) / len(rows)
    assert gap == pytest.approx(calibration_error(rows, np.ones((1, len(rows))))[0, 2])
    inside = (curve.low <= curve.frequency) & (curve.frequency <= curve.high)
    assert inside[curve.counts > 5].all()
    assert curve.to_dict()["mean"][0] is None or filled[0]


def test_precision_recall_is_scikit_learns():
    labels, score, rows = drawn()
    curve = precision_recall(rows, 1, FEW)
    precision, recall, thresholds = sk.precision_recall_curve(labels, score)
    theirs = {t: (p, r) for p, r, t in zip(precision, recall, thresholds, strict=False)}
    assert len(curve.recall) > 20
    for p, r, t in zip(curve.precision, curve.recall, curve.thresholds, strict=True):
        assert (p, r) == pytest.approx(theirs[t])
    area = np.sum(np.diff(curve.recall, prepend=0) * curve.precision)
    assert area == pytest.approx(sk.average_precision_score(labels, score))
    assert curve.recall[-1] == 1.0
    assert curve.share == pytest.approx(labels.mean())
    at = curve.precision[np.searchsorted(curve.recall, GRID - 1e-12)]
    middle = slice(20, 95)
    assert np.mean((curve.low <= at) & (at <= curve.high), where=np.arange(101) < 95) > 0.95
    assert (curve.high - curve.low)[middle].min() > 0


def test_a_class_without_images_has_no_curve():
    rows = Rows.of([0, 0], [[0.8, 0.2], [0.3, 0.7]])
    assert precision_recall(rows, 1) is None
    assert precision_recall(rows, 0) is None
    assert np.isnan(reliability(rows, 1, Resampling(resamples=0)).low).all()


@pytest.mark.parametrize("prevalence", [0.01, 0.3, 0.9])
def test_operating_points_follow_bayes(prevalence):
    labels, score, rows = drawn()
    point = operating_point(rows, 0.6, prevalence, FEW)
    s, t = sk.recall_score(labels, score >= 0.6), sk.recall_score(1 - labels, score < 0.6)
    assert point.sensitivity.value == pytest.approx(s)
    assert point.specificity.value == pytest.approx(t)
    # Of 1,000,000 people.
    ill, well = 1e6 * prevalence, 1e6 * (1 - prevalence)
    assert point.ppv.value == pytest.approx(ill * s / (ill * s + well * (1 - t)))
    assert point.npv.value == pytest.approx(well * t / (well * t + ill * (1 - s)))
    assert point.called.value == pytest.approx((ill * s + well * (1 - t)) / 1e6)
    for estimate in (point.sensitivity, point.specificity, point.ppv, point.npv, point.called):
        assert estimate.low <= estimate.value <= estimate.high


def test_at_the_datas_own_prevalence_ppv_is_precision():
    labels, score, rows = drawn()
    point = operating_point(rows, 0.5, float(labels.mean()), FEW)
    assert point.ppv.value == pytest.approx(sk.precision_score(labels, score >= 0.5))


def test_groups_widen_every_interval():
    """Each image ten times over under one group: intervals as those of the images alone, not a third as wide."""
    labels, score, _ = drawn(60)
    many, once = np.repeat(labels, 10), np.repeat(score, 10)
    table = np.column_stack([1 - once, once])
    apart = Rows.of(many, table)
    together = Rows.of(many, table, groups=[f"p{index // 10}" for index in range(len(many))])

    def width(estimate):
        return estimate.high - estimate.low

    wide, narrow = (operating_point(rows, 0.5, 0.5, FEW) for rows in (together, apart))
    assert width(wide.sensitivity) > 2 * width(narrow.sensitivity)
    assert width(wide.ppv) > 2 * width(narrow.ppv)
    for curve in (lambda rows: reliability(rows, 1, FEW), lambda rows: precision_recall(rows, 1, FEW)):
        wide, narrow = (curve(rows) for rows in (together, apart))
        assert np.nanmean(wide.high - wide.low) > 1.5 * np.nanmean(narrow.high - narrow.low)


def test_what_makes_no_sense_is_refused():
    _, _, rows = drawn(20)
    for prevalence in (0.0, 1.0, float("nan")):
        with pytest.raises(ConfigError, match="prevalence must be above 0 and below 1"):
            operating_point(rows, 0.5, prevalence)
    three = Rows.of([0, 1, 2], np.eye(3))
    with pytest.raises(DataError, match="two classes"):
        operating_point(three, 0.5, 0.5)


def test_the_models_own_threshold_decides_as_the_model_does():
    """0.7 as float32 is below 0.7 as float64; the model compares in float32."""
    table = np.array([[0.3, 0.7], [0.9, 0.1]], np.float32)
    rows = Rows.of([1, 0], table, threshold=0.7)
    assert operating_point(rows, 0.7, 0.5, Resampling(resamples=0)).sensitivity.value == 1.0
