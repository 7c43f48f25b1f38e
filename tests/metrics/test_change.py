from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from medsynth.errors import DataError
from medsynth.metrics import Rows, compare_models
from medsynth.metrics.change import calibration_error


def _nudged(probabilities, seed, size=0.1):
    logits = np.log(probabilities) + np.random.default_rng(seed).normal(scale=size, size=probabilities.shape)
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3])
def test_values_are_those_of_scikit_learn(make_task, classes):
    task = make_task(rows=90, classes=classes)
    other = _nudged(task.probabilities, 1)
    rows = Rows.of(task.labels, task.probabilities)
    change = compare_models(rows, rows.with_probabilities(other))
    decided = task.probabilities.argmax(1), other.argmax(1)
    assert change.flipped == (decided[0] != decided[1]).sum()
    assert change.flips.value == pytest.approx(change.flipped / 90)
    scores = [table[:, 1] if classes == 2 else table for table in (task.probabilities, other)]
    aucs = [roc_auc_score(task.labels, score, multi_class="ovr") for score in scores]
    assert change.auc.value == pytest.approx(aucs[1] - aucs[0])
    average = "binary" if classes == 2 else "macro"
    recalls = [recall_score(task.labels, each, average=average) for each in decided]
    assert change.sensitivity.value == pytest.approx(recalls[1] - recalls[0])
    for estimate in (change.flips, change.auc, change.sensitivity, change.calibration_error):
        assert estimate.low <= estimate.value <= estimate.high


def test_resamples_are_paired(make_task):
    """The interval of a difference of nearly equal models is far narrower than that of either alone."""
    task = make_task(rows=200)
    rows = Rows.of(task.labels, task.probabilities)
    change = compare_models(rows, rows.with_probabilities(_nudged(task.probabilities, 2, size=0.01)))
    assert change.auc.high - change.auc.low < 0.01


def test_the_order_of_rows_does_not_matter(make_task):
    task = make_task(rows=80)
    other = _nudged(task.probabilities, 3)
    shuffled = np.random.default_rng(0).permutation(80)
    changes = []
    for order in (np.arange(80), shuffled):
        groups = [task.groups[index] for index in order]
        rows = Rows.of(task.labels[order], task.probabilities[order], groups=groups)
        changes.append(compare_models(rows, rows.with_probabilities(other[order])))
    assert changes[0] == changes[1]
    assert changes[0].grouped


def test_no_flip_is_no_proof_of_none(make_task):
    task = make_task(rows=60)
    rows = Rows.of(task.labels, task.probabilities)
    change = compare_models(rows, rows.with_probabilities(task.probabilities))
    assert (change.flips.value, change.flips.low, change.flips.high) == (0.0, 0.0, 0.05)
    assert change.auc.value == change.auc.high == 0.0
    assert set(change.to_dict()) == {
        "images", "unit", "units", "flipped", "flips", "auc", "sensitivity", "calibration_error",
    }  # fmt: skip


def test_calibration_error_of_a_model_that_always_says_what_is_true_in_the_mean():
    probabilities = np.tile([0.25, 0.75], (8, 1))
    rows = Rows.of([0, 0, 1, 1, 1, 1, 1, 1], probabilities)
    np.testing.assert_allclose(calibration_error(rows, np.ones((1, 8))), 0.0, atol=1e-12)
    sure = Rows.of([0, 1, 1, 1], np.tile([0.0, 1.0], (4, 1)))
    np.testing.assert_allclose(calibration_error(sure, np.ones((1, 4)))[0, 0], 0.25)


def test_other_rows_are_refused(make_task):
    task = make_task(rows=20)
    rows = Rows.of(task.labels, task.probabilities)
    with pytest.raises(DataError, match="shape"):
        rows.with_probabilities(task.probabilities[:5])
