from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score

from medsynth.errors import DataError
from medsynth.metrics import authenticity, copying_test, find_copies, membership_auc, ranking_auc


@pytest.fixture
def rows():
    """Training, held-out and generated rows of one distribution."""
    return np.random.default_rng(0).normal(size=(3, 300, 12))


def permuted(*sets):
    random = np.random.default_rng(1)
    return [random.permutation(rows) for rows in sets]


def test_authenticity_is_the_definition(rows):
    train, _, made = rows
    table, own = cdist(train, made), cdist(train, train)
    np.fill_diagonal(own, np.inf)
    nearest = table.argmin(axis=0)
    expected = (table.min(axis=0) > own[nearest].min(axis=1)).mean()
    found = authenticity(train, made)
    assert found.value == expected
    assert found.low < expected < found.high
    assert authenticity(*permuted(train, made)) == found  # A published implementation fails this.


def test_planted_copies_are_not_authentic(rows):
    train, _, made = rows
    assert authenticity(train, train).value == 0
    assert authenticity(train, np.repeat(train[:5], 20, axis=0) + 1e-9).value == 0
    assert authenticity(train, made + 100).value == 1
    half = authenticity(train, np.concatenate([train[:150], made[:150]])).value
    assert half == pytest.approx(authenticity(train, made[:150]).value / 2)


def test_one_cell_is_the_mann_whitney_test(rows):
    train, held_out, made = rows
    far = [cdist(side, train).min(axis=1) for side in (held_out, made)]
    expected = stats.mannwhitneyu(far[1], far[0], method="asymptotic", use_continuity=False)
    score = copying_test(train, held_out, made)
    assert 2 * stats.norm.cdf(-abs(score)) == pytest.approx(expected.pvalue)
    assert copying_test(*permuted(train, held_out, made)) == pytest.approx(score)


def test_ties_are_corrected():
    train, held_out, made = np.zeros((1, 1)), np.array([[0.0], [1], [1], [2], [3]]), np.array([[0.0], [1], [-1]])
    expected = stats.mannwhitneyu([0, 1, 1], [0, 1, 4, 1, 9], method="asymptotic", use_continuity=False)
    score = copying_test(train, held_out, made)
    assert score < 0
    assert 2 * stats.norm.cdf(score) == pytest.approx(expected.pvalue)
    # A generator that repeats itself gives no further evidence.
    assert copying_test(train, held_out, np.repeat(made, 50, axis=0)) == score


def test_the_alarm_is_quiet_on_held_out_rows_and_rings_on_copies(rows):
    train, held_out, made = rows
    assert abs(copying_test(train, held_out, made)) < 3
    planted = made.copy()
    planted[:100] = train[:100]
    assert copying_test(train, held_out, planted) < -3
    cells = np.arange(300) % 2
    in_one = made.copy()
    in_one[cells == 1] = train[cells == 1]
    options = {"held_out_cells": cells, "made_cells": cells}
    both = [copying_test(train, held_out, in_one, **options), copying_test(train, held_out, made, **options)]
    assert both[0] < -3 < both[1]


def test_membership_is_the_area_under_the_curve(rows):
    train, held_out, made = rows
    near = [cdist(side, made).min(axis=1) for side in (train, held_out)]
    expected = roc_auc_score([1] * 300 + [0] * 300, -np.concatenate(near))
    found = membership_auc(train, held_out, made)
    assert found.value == pytest.approx(expected)
    assert found.low < 0.5 < found.high
    leaking = membership_auc(train, held_out, train[::2] + 1e-3)
    assert leaking.low > 0.6
    assert membership_auc(train, held_out, train).value == 1


def test_refusals(rows):
    train, held_out, made = rows
    with pytest.raises(DataError, match="one network"):
        authenticity(train, made[:, :3])
    with pytest.raises(DataError, match="2 nearest neighbours need"):
        authenticity(train[:1], made)
    with pytest.raises(DataError, match="one entry for each row"):
        copying_test(train, held_out, made, made_cells=np.zeros(3))
    with pytest.raises(DataError, match="needs a cell with"):
        copying_test(train, held_out, made, held_out_cells=np.zeros(300), made_cells=np.ones(300))


def test_copies_are_found_and_held_out_rows_are_not(rows):
    train, held_out, made = rows
    assert not find_copies(train, held_out, made).flagged.any()
    planted = made.copy()
    planted[7], planted[8] = train[3], train[5] + 1e-6
    found = find_copies(train, held_out, planted)
    assert np.flatnonzero(found.flagged).tolist() == [7, 8]
    assert found.nearest[[7, 8]].tolist() == [3, 5]
    table = cdist(planted, train)
    np.testing.assert_allclose(found.distances, table.min(axis=1), atol=1e-12)
    np.testing.assert_array_equal(found.nearest, table.argmin(axis=1))
    assert found.limit == pytest.approx(np.quantile(cdist(held_out, train).min(axis=1), 0.01, method="lower") / 2)


def test_an_exact_copy_is_found_where_held_out_rows_are_copies_too(rows):
    train, _, made = rows
    found = find_copies(train, train, np.concatenate([made, train[:1]]))
    assert found.limit == 0
    assert found.duplicates.all()
    assert np.flatnonzero(found.flagged).tolist() == [300]


def test_ranks_alone_make_the_area():
    random = np.random.default_rng(2)
    low, high = random.random(50).round(1), 0.2 + random.random(70).round(1)
    expected = roc_auc_score([0] * 50 + [1] * 70, np.concatenate([low, high]))
    assert ranking_auc(low, high).value == pytest.approx(expected)
    with pytest.raises(DataError, match="neither of them 0"):
        ranking_auc([], [1.0])


def test_a_repeated_image_is_one_observation():
    train = np.random.default_rng(0).normal(size=(100, 4))
    made = np.random.default_rng(1).normal(size=(3, 4))
    once, often = authenticity(train, made), authenticity(train, np.repeat(made, 50, axis=0))
    assert often == once
    assert once.high - once.low > 0.4


def test_a_held_out_row_that_is_a_training_row_is_no_yardstick(rows):
    """Without it near copies passed: the limit was half of 0."""
    train, held_out, made = rows
    mixed = np.concatenate([train[:4], held_out])
    near = made.copy()
    near[7] = train[3] + 1e-3
    found = find_copies(train, mixed, near)
    assert found.limit == find_copies(train, held_out, near).limit > 0
    assert found.duplicates.sum() == 4
    assert len(found.held_out) == 304
    assert np.flatnonzero(found.flagged).tolist() == [7]
