from __future__ import annotations

import numpy as np
import pytest

from medsynth.errors import DataError
from medsynth.metrics import jackknife_error
from medsynth.metrics.features import as_features, check_pair, distinct, in_order


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros(3), r"shape \(rows, dimensions\).*\(3,\)"),
        (np.zeros((0, 4)), r"\(0, 4\)"),
        (np.zeros((4, 0)), r"\(4, 0\)"),
        ([[1.0, np.nan]], "must be finite"),
        ([[1.0, np.inf]], "must be finite"),
    ],
)
def test_what_is_no_set_of_features(rows, message):
    with pytest.raises(DataError, match=message):
        as_features(rows, "candidate")


def test_floats_keep_their_precision_and_others_become_double():
    assert as_features(np.zeros((1, 1), np.float32), "x").dtype == np.float32
    assert as_features([[1, 2]], "x").dtype == np.float64
    assert as_features(np.zeros((1, 1), np.float16), "x").dtype == np.float64


def test_pairs_must_fit():
    with pytest.raises(DataError, match=r"one network.*Got 2 and 3"):
        check_pair(np.zeros((4, 2)), np.zeros((4, 3)))
    with pytest.raises(DataError, match=r"at least 3 rows each. Got 4 and 2"):
        check_pair(np.zeros((4, 2)), np.zeros((2, 2)), least=3)


def test_distinct_rows():
    rows = np.array([[1.0, 2], [3, 4], [1, 2], [1, 2], [5, 6]])
    found = distinct(rows)
    np.testing.assert_array_equal(found.rows, [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(found.counts, [3, 1, 1])
    np.testing.assert_array_equal(found.rows[found.places], rows)
    assert distinct(rows[:2]).rows is not None
    assert np.shares_memory(distinct(rows[:2]).rows, rows)  # Nothing is copied where nothing repeats.


def test_the_order_is_that_of_the_content():
    rows = np.random.default_rng(0).normal(size=(50, 3))
    shuffled = rows[np.random.default_rng(1).permutation(50)]
    np.testing.assert_array_equal(rows[in_order(rows)], shuffled[in_order(shuffled)])


def test_the_jackknife_of_a_mean_is_its_standard_error():
    rows = np.random.default_rng(0).normal(size=(400, 1))
    value, error = jackknife_error(lambda x: float(x.mean()), rows, groups=400)
    assert value == pytest.approx(rows.mean())
    assert error == pytest.approx(rows.std(ddof=1) / 20)
    assert jackknife_error(lambda x: float(x.mean()), rows)[1] == pytest.approx(error, rel=0.8)


def test_the_jackknife_does_not_depend_on_order():
    one, other = np.random.default_rng(0).normal(size=(2, 60, 2))

    def product(x, y):
        return float((x.mean(axis=0) * y.mean(axis=0)).sum())

    found = jackknife_error(product, one, other)
    assert jackknife_error(product, one[::-1], np.roll(other, 7, axis=0)) == pytest.approx(found, rel=1e-12)
