from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics as sk

from medsynth.default_plugins.metrics import (
    AUC,
    F1,
    MCC,
    Accuracy,
    AveragePrecision,
    BalancedAccuracy,
    Brier,
    CalibrationError,
    LogLoss,
    Precision,
    Recall,
)
from medsynth.errors import ConfigError, DataError

EVERY = (
    Accuracy, AveragePrecision, BalancedAccuracy, Brier, CalibrationError, F1, MCC, Precision, Recall, AUC, LogLoss,
)  # fmt: skip
NOTHING = np.empty((0,))


@pytest.fixture
def rows():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 90)
    scores = np.clip(0.3 * labels + rng.random(90) * 0.7, 0, 1)
    return labels, np.column_stack([1 - scores, scores]).astype(np.float32)


def compute(metric, labels, probabilities, *, chunk=1000):
    for start in range(0, len(labels), chunk):
        part = slice(start, start + chunk)
        metric.update(NOTHING, probabilities[part], reference_labels=labels[part])
    return metric.compute()


def test_values_equal_scikit_learn(rows):
    labels, probabilities = rows
    predicted = (probabilities[:, 1] >= 0.5).astype(int)
    expected = {
        Accuracy: sk.accuracy_score(labels, predicted),
        BalancedAccuracy: sk.balanced_accuracy_score(labels, predicted),
        F1: sk.f1_score(labels, predicted),
        Precision: sk.precision_score(labels, predicted),
        Recall: sk.recall_score(labels, predicted),
        AveragePrecision: sk.average_precision_score(labels, probabilities[:, 1]),
        Brier: sk.brier_score_loss(labels, probabilities[:, 1]),
        MCC: sk.matthews_corrcoef(labels, predicted),
        AUC: sk.roc_auc_score(labels, probabilities[:, 1]),
        LogLoss: sk.log_loss(labels, probabilities.astype(float) / probabilities.astype(float).sum(1, keepdims=True)),
    }
    for cls, value in expected.items():
        result = compute(cls(), labels, probabilities)
        assert result.value == pytest.approx(value, rel=1e-6), cls.name
        assert result.low < result.value < result.high
        assert set(result.per_class) == {0, 1}


@pytest.mark.parametrize("cls", EVERY)
def test_chunks_and_order_change_nothing(cls, rows):
    labels, probabilities = rows
    order = np.random.default_rng(0).permutation(len(labels))
    whole = compute(cls(), labels, probabilities)
    assert compute(cls(), labels[order], probabilities[order], chunk=7) == whole


@pytest.mark.parametrize("cls", EVERY)
def test_reset_forgets(cls, rows):
    metric = cls(resamples=50)
    first = compute(metric, *rows)
    metric.reset()
    with pytest.raises(DataError, match=f"metric '{cls.name}' needs at least one row"):
        metric.compute()
    assert compute(metric, *rows) == first


@pytest.mark.parametrize("cls", EVERY)
def test_truth_beats_noise(cls):
    labels = np.tile([0, 1, 2], 30)
    sound = np.full((90, 3), 0.1)
    sound[np.arange(90), labels] = 0.8
    noise = np.random.default_rng(0).dirichlet(np.ones(3), 90)
    good, bad = (compute(cls(resamples=0), labels, table).value for table in (sound, noise))
    assert (good > bad) is cls.higher_is_better
    assert good != bad


def test_empty_chunks_are_taken_and_labels_are_required(rows):
    metric = Accuracy()
    metric.update(NOTHING, np.empty((0, 2)))
    with pytest.raises(DataError, match=r"needs reference_labels.* Got none"):
        metric.update(NOTHING, rows[1])
    with pytest.raises(DataError, match=r"each of 90 rows\. Got 3"):
        metric.update(NOTHING, rows[1], reference_labels=rows[0][:3])


def test_undefined_is_an_error_not_a_nan():
    with pytest.raises(DataError, match="metric 'auc' is not defined where a class has no rows"):
        compute(AUC(), np.ones(5, int), np.full((5, 2), 0.5))


def test_options_decide_what_is_positive(rows):
    labels, probabilities = rows
    flipped = compute(Recall(positive=0, threshold=0.4), labels, probabilities)
    expected = sk.recall_score(labels, np.where(probabilities[:, 0] >= 0.4, 0, 1), pos_label=0)
    assert flipped.value == pytest.approx(expected)
    assert compute(Recall(resamples=0), labels, probabilities).low is None
    with pytest.raises(ConfigError, match="resamples"):
        Accuracy(resamples=-1)


def test_arrays_that_change_after_the_update_do_no_harm(rows):
    labels, probabilities = rows[0].copy(), rows[1].copy()
    metric = Accuracy()
    metric.update(NOTHING, probabilities, reference_labels=labels)
    labels[:] = 0
    probabilities[:] = 0.5
    assert metric.compute() == compute(Accuracy(), *rows)


def test_no_deep_learning_library_is_imported():
    code = "import sys, medsynth.default_plugins.metrics; print({'tensorflow', 'keras', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
