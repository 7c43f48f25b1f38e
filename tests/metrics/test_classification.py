"""Against scikit-learn, and against closed forms where it has no answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from medsynth.metrics import STATISTICS, Rows, confusion_matrix


def value(name: str, rows: Rows) -> np.ndarray:
    return STATISTICS[name](rows, np.ones((1, len(rows))))[0]


@st.composite
def tasks(draw, classes: int):
    """Rows in which every class occurs; probabilities are coarse, so that ties are common."""
    size = draw(st.integers(classes, 40))
    labels = np.array([*range(classes), *draw(st.lists(st.integers(0, classes - 1), min_size=size, max_size=size))])
    parts = draw(
        st.lists(
            st.lists(st.integers(1, 9), min_size=classes, max_size=classes),
            min_size=len(labels),
            max_size=len(labels),
        )
    )
    table = np.array(parts, float)
    return labels, table / table.sum(axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(task=tasks(2), positive=st.integers(0, 1), threshold=st.sampled_from([0.3, 0.5, 0.7]))
def test_binary_metrics_equal_scikit_learn(task, positive, threshold):
    labels, probabilities = task
    rows = Rows.of(labels, probabilities, positive=positive, threshold=threshold)
    predicted = np.where(probabilities[:, positive] >= threshold, positive, 1 - positive)
    options = {"pos_label": positive, "zero_division": 0}
    assert value("loss", rows)[0] == pytest.approx(sk.log_loss(labels, probabilities), rel=1e-12)
    assert value("accuracy", rows)[0] == pytest.approx(sk.accuracy_score(labels, predicted))
    assert value("balanced_accuracy", rows)[0] == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert value("f1", rows)[0] == pytest.approx(sk.f1_score(labels, predicted, **options))
    assert value("precision", rows)[0] == pytest.approx(sk.precision_score(labels, predicted, **options))
    assert value("recall", rows)[0] == pytest.approx(sk.recall_score(labels, predicted, **options))
    assert value("auc", rows)[0] == pytest.approx(sk.roc_auc_score(labels == positive, probabilities[:, positive]))
    average = sk.average_precision_score(labels == positive, probabilities[:, positive])
    assert value("average_precision", rows)[0] == pytest.approx(average)
    assert value("mcc", rows) == pytest.approx([sk.matthews_corrcoef(labels, predicted)] * 3, abs=1e-12)
    brier = sk.brier_score_loss(labels == positive, probabilities[:, positive])
    assert value("brier", rows)[0] == pytest.approx(brier)
    np.testing.assert_array_equal(
        confusion_matrix(rows, np.ones((1, len(rows))))[0], sk.confusion_matrix(labels, predicted, labels=[0, 1])
    )


@settings(max_examples=40, deadline=None)
@given(task=tasks(4))
def test_multi_class_metrics_equal_scikit_learn(task):
    labels, probabilities = task
    rows, predicted, every = Rows.of(labels, probabilities), probabilities.argmax(axis=1), range(4)
    assert value("loss", rows)[0] == pytest.approx(sk.log_loss(labels, probabilities, labels=every), rel=1e-12)
    assert value("accuracy", rows)[0] == pytest.approx(sk.accuracy_score(labels, predicted))
    assert value("balanced_accuracy", rows)[0] == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    for name, reference in (("f1", sk.f1_score), ("precision", sk.precision_score), ("recall", sk.recall_score)):
        options = {"labels": list(every), "zero_division": 0}
        assert value(name, rows)[0] == pytest.approx(reference(labels, predicted, average="macro", **options))
        assert value(name, rows)[1:] == pytest.approx(reference(labels, predicted, average=None, **options))
    assert value("auc", rows)[0] == pytest.approx(
        sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro", labels=list(every))
    )
    assert value("mcc", rows)[0] == pytest.approx(sk.matthews_corrcoef(labels, predicted), abs=1e-12)
    assert value("brier", rows)[0] == pytest.approx(sk.brier_score_loss(labels, probabilities, labels=list(every)))
    assert value("average_precision", rows)[0] == pytest.approx(
        sk.average_precision_score(np.eye(4)[labels], probabilities, average="macro")
    )
    for index in every:
        mcc = sk.matthews_corrcoef(labels == index, predicted == index)
        assert value("mcc", rows)[1 + index] == pytest.approx(mcc, abs=1e-12)
        brier = sk.brier_score_loss(labels == index, probabilities[:, index])
        assert value("brier", rows)[1 + index] == pytest.approx(brier)
        one_vs_rest = sk.roc_auc_score(labels == index, probabilities[:, index])
        assert value("auc", rows)[1 + index] == pytest.approx(one_vs_rest)
        own = labels == index
        log_loss = sk.log_loss(labels[own], probabilities[own], labels=every)
        assert value("loss", rows)[1 + index] == pytest.approx(log_loss)
        share = sk.accuracy_score(own, predicted == index)
        assert value("accuracy", rows)[1 + index] == pytest.approx(share)
        balanced = sk.balanced_accuracy_score(own, predicted == index)
        assert value("balanced_accuracy", rows)[1 + index] == pytest.approx(balanced)


@pytest.mark.parametrize("classes", [2, 4])
def test_weights_count_rows(make_task, classes):
    """A row of weight k is the row k times: what makes a line of counts a resample."""
    task = make_task(50, classes, decimals=1)
    weights = np.random.default_rng(3).integers(0, 4, (6, 50))
    rows = Rows.of(task.labels, task.probabilities)
    for statistic in STATISTICS.values():
        block = statistic(rows, weights.astype(float))
        for line, counts in zip(block, weights, strict=True):
            repeated = Rows.of(np.repeat(rows.labels, counts), np.repeat(rows.probabilities, counts, axis=0))
            np.testing.assert_allclose(line, statistic(repeated, np.ones((1, len(repeated))))[0], rtol=1e-9)


def test_one_class_alone():
    rows = Rows.of([1, 1, 1], [[0.2, 0.8], [0.6, 0.4], [0.1, 0.9]])
    assert np.isnan(value("auc", rows)).all()
    assert value("accuracy", rows)[0] == pytest.approx(2 / 3)
    assert value("recall", rows)[1:] == pytest.approx([np.nan, 2 / 3], nan_ok=True)
    assert value("precision", rows)[1:] == pytest.approx([0, 1])
    assert np.isfinite(value("loss", rows)[0])


def test_a_class_that_neither_occurs_nor_is_predicted_is_left_out_of_the_mean():
    rows = Rows.of([0, 1, 1], [[0.8, 0.2, 0.0], [0.3, 0.7, 0.0], [0.6, 0.4, 0.0]])
    for name in ("f1", "precision", "recall", "auc"):
        whole, *classes = value(name, rows)
        assert np.isnan(classes[2]), name
        assert whole == pytest.approx(np.mean(classes[:2])), name


def test_calibration_error_equals_scikit_learns_curve(make_task):
    task = make_task(300)
    scores, truth = task.probabilities[:, 1], task.labels == 1
    frequency, mean = calibration_curve(truth, scores, n_bins=15)
    counts = np.histogram(scores, np.linspace(0, 1, 16))[0]
    expected = (counts[counts > 0] * np.abs(frequency - mean)).sum() / 300
    assert value("calibration_error", Rows.of(task.labels, task.probabilities))[0] == pytest.approx(expected)


def test_one_decision_for_all_has_no_correlation():
    assert value("mcc", Rows.of([0, 0, 1], [[0.9, 0.1]] * 3)).tolist() == [0, 0, 0]
    assert np.isnan(value("mcc", Rows.of([1, 1], [[0.9, 0.1], [0.1, 0.9]]))).all()
    assert np.isnan(value("average_precision", Rows.of([1, 1], [[0.9, 0.1], [0.1, 0.9]]))).all()


def test_never_predicted_has_precision_zero():
    rows = Rows.of([0, 0, 1], [[0.9, 0.1]] * 3)
    assert value("precision", rows)[0] == 0
    assert value("f1", rows)[0] == 0


def test_constant_scores_have_area_one_half():
    assert value("auc", Rows.of([0, 1, 1, 0], [[0.5, 0.5]] * 4)).tolist() == [0.5, 0.5, 0.5]


def test_a_certain_error_costs_a_bounded_loss():
    loss = value("loss", Rows.of([0], [[0.0, 1.0]]))[0]
    assert loss == pytest.approx(-np.log(np.finfo(np.float32).eps))


@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 5))
def test_auc_is_the_share_of_pairs_in_order(positives, negatives, seed):
    rng = np.random.default_rng(seed)
    high, low = rng.integers(0, 8, positives) / 8, rng.integers(0, 7, negatives) / 8
    scores = np.concatenate([high, low])
    rows = Rows.of([1] * positives + [0] * negatives, np.column_stack([1 - scores, scores]))
    pairs = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    assert value("auc", rows)[0] == pytest.approx(pairs.mean())
