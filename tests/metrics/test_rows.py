from __future__ import annotations

import numpy as np
import pytest

from medsynth.errors import DataError
from medsynth.metrics import Rows, decide

GOOD = np.array([[0.8, 0.2], [0.3, 0.7]])


@pytest.mark.parametrize(
    ("labels", "probabilities", "says"),
    [
        ([], np.empty((0, 2)), "at least one row"),
        ([0, 1], GOOD[:, :1], "2 classes or more"),
        ([0, 1], GOOD[0], "2 classes or more"),
        ([0], GOOD, "one entry per row"),
        ([0, 2], GOOD, "0 to 1"),
        ([0, -1], GOOD, "0 to 1"),
        ([0.0, 1.0], GOOD, "integers"),
        ([0, 1], [[np.nan, 0.2], [0.3, 0.7]], "NaN or infinity in 1 of 2 rows"),
        ([0, 1], [[2.0, -1.0], [0.3, 0.7]], "not logits"),
        ([0, 1], [[0.2, 0.2], [0.3, 0.7]], "sum to 1"),
    ],
)
def test_bad_rows_are_refused_with_the_reason(labels, probabilities, says):
    with pytest.raises(DataError, match=says):
        Rows.of(labels, probabilities)


def test_groups_and_positive_must_fit():
    with pytest.raises(DataError, match=r"one entry per row, 2\. Got 1"):
        Rows.of([0, 1], GOOD, groups=["a"])
    with pytest.raises(DataError, match=r"0 or 1\. Got 2"):
        Rows.of([0, 1], GOOD, positive=2)


def test_float32_softmax_is_accepted():
    logits = np.random.default_rng(0).normal(0, 20, (500, 7)).astype(np.float32)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    rows = Rows.of(np.zeros(500, int), exponentials / exponentials.sum(axis=1, keepdims=True))
    assert rows.positive is None
    assert rows.threshold is None


def test_binary_defaults_are_the_last_class_and_the_most_probable():
    rows = Rows.of([0, 1, 1], [*GOOD, [0.5, 0.5]])
    assert (rows.positive, rows.threshold) == (1, None)
    assert sorted(rows.predicted.tolist()) == [0, 0, 1]


def test_decisions_are_those_of_the_dtype_that_inference_compares_in():
    probability = np.float32(0.7)  # A little below 0.7 as a double.
    table = np.array([[1 - probability, probability]], np.float32)
    assert Rows.of([1], table, threshold=0.7).predicted.tolist() == [1]


def test_the_threshold_is_inclusive_and_belongs_to_the_positive_class():
    probabilities = np.array([[0.7, 0.3], [0.71, 0.29], [0.5, 0.5]])
    assert decide(probabilities, positive=1, threshold=0.3).tolist() == [1, 0, 1]
    assert decide(probabilities, positive=0, threshold=0.71).tolist() == [1, 0, 1]
    assert decide(probabilities).tolist() == [0, 0, 0]
    assert decide(np.array([[0.2, 0.5, 0.3]]), positive=0, threshold=0.1).tolist() == [1]


def test_order_of_input_leaves_no_trace(make_task):
    task = make_task(60, 3)
    order = np.random.default_rng(1).permutation(60)
    one = Rows.of(task.labels, task.probabilities, groups=task.groups)
    other = Rows.of(task.labels[order], task.probabilities[order], groups=[task.groups[i] for i in order])
    for field in ("labels", "probabilities", "predicted", "units"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
