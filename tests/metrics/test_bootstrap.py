from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.errors import ConfigError
from medsynth.metrics import Resampling, Rows, accuracy, auc, bootstrap, estimate, recall, score
from medsynth.metrics.bootstrap import percentiles, resample


def drawn(rows: Rows, resamples: int = 200, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(resample(rows, Resampling(resamples=resamples, seed=seed))))


def test_classes_keep_their_sizes(make_task):
    task = make_task(90, 3)
    rows = Rows.of(task.labels, task.probabilities)
    weights = drawn(rows)
    for index in range(3):
        own = rows.labels == index
        assert (weights[:, own].sum(axis=1) == own.sum()).all()


def test_groups_are_drawn_whole_within_their_class(make_task):
    task = make_task(120, 2)
    rows = Rows.of(task.labels, task.probabilities, groups=task.groups)
    weights = drawn(rows)
    for unit in range(rows.units.max() + 1):
        own = weights[:, rows.units == unit]
        assert (own == own[:, :1]).all()
    per_unit = weights[:, np.unique(rows.units, return_index=True)[1]]
    assert (per_unit.sum(axis=1) == rows.units.max() + 1).all()


def test_every_unit_is_drawn_as_often_as_it_should(make_task):
    task = make_task(40)
    weights = drawn(Rows.of(task.labels, task.probabilities), resamples=20_000)
    # Counts of a unit have mean 1 and variance just below 1.
    assert np.abs(weights.mean(axis=0) - 1).max() < 5 / np.sqrt(20_000)


def test_accuracy_interval_agrees_with_the_binomial():
    """For one stratum the bootstrap distribution of accuracy is a binomial over n."""
    right = np.arange(200) < 150
    probabilities = np.where(right[:, None], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1])
    whole, _ = estimate(Rows.of(np.ones(200, int), probabilities), accuracy, Resampling(resamples=20_000))
    spread = 1.96 * np.sqrt(0.75 * 0.25 / 200)
    assert whole.value == 0.75
    assert whole.low == pytest.approx(0.75 - spread, abs=0.006)
    assert whole.high == pytest.approx(0.75 + spread, abs=0.006)


def test_auc_interval_agrees_with_hanley_and_mcneil():
    """Closed form of the standard error (Hanley and McNeil 1982), which assumes about these score distributions."""
    rng = np.random.default_rng(5)
    scores = 1 / (1 + np.exp(-np.concatenate([rng.normal(0, 1, 300), rng.normal(1.2, 1, 300)])))
    whole, _ = estimate(Rows.of([0] * 300 + [1] * 300, np.column_stack([1 - scores, scores])), auc)
    area = whole.value
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = np.sqrt((area * (1 - area) + 299 * (q1 - area**2) + 299 * (q2 - area**2)) / 300**2)
    assert (whole.high - whole.low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.12)


def test_correlated_groups_widen_the_interval(make_task):
    """Images of one patient that are all right or all wrong tell no more than one image does."""
    labels = np.repeat([0, 1], 200)
    right = np.repeat(np.random.default_rng(0).random(40) < 0.75, 10)
    probabilities = np.where((labels == right)[:, None], [0.2, 0.8], [0.8, 0.2])
    groups = [f"patient {index // 10}" for index in range(400)]
    by_image, _ = estimate(Rows.of(labels, probabilities), accuracy)
    by_group, _ = estimate(Rows.of(labels, probabilities, groups=groups), accuracy)
    ratio = (by_group.high - by_group.low) / (by_image.high - by_image.low)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.25)


@given(st.integers(0, 2**32), st.booleans())
def test_order_of_rows_changes_nothing(seed, grouped):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 30)
    scores = rng.integers(0, 8, 30) / 8
    groups = [f"g{index}" for index in rng.integers(0, 9, 30)] if grouped else None
    order = rng.permutation(30)
    table = np.column_stack([1 - scores, scores])
    shuffled = [groups[index] for index in order] if groups else None
    for statistic in (accuracy, auc, recall):
        settings = Resampling(resamples=20, seed=seed)
        one = estimate(Rows.of(labels, table, groups=groups), statistic, settings)
        other = estimate(Rows.of(labels[order], table[order], groups=shuffled), statistic, settings)
        assert one == other


def test_blocks_do_not_change_the_draws(make_task, monkeypatch):
    task = make_task(50)
    rows = Rows.of(task.labels, task.probabilities)
    whole = drawn(rows, 100)
    monkeypatch.setattr(bootstrap, "_BLOCK", 50 * 7)
    np.testing.assert_array_equal(drawn(rows, 100), whole)


def test_seeds_differ(make_task):
    task = make_task(50)
    rows = Rows.of(task.labels, task.probabilities)
    assert (drawn(rows, 5, seed=0) != drawn(rows, 5, seed=1)).any()


def test_one_unit_has_no_interval():
    for groups in (None, ["one", "one"]):
        rows = Rows.of([1, 0][: 1 + bool(groups)], [[0.3, 0.7], [0.6, 0.4]][: 1 + bool(groups)], groups=groups)
        whole, _ = estimate(rows, accuracy)
        assert whole.value == 1
        assert whole.low is None
        assert whole.high is None


def test_a_single_image_of_a_class_gives_up_strata_and_leaves_out_undefined_resamples():
    scores = np.linspace(0.1, 0.9, 20)
    rows = Rows.of([0] * 19 + [1], np.column_stack([1 - scores, scores]))
    weights = drawn(rows, 500)
    missing = (weights[:, rows.labels == 1] == 0).mean()
    assert missing == pytest.approx((19 / 20) ** 20, abs=0.08)
    whole, _ = estimate(rows, auc)
    assert whole.low is not None
    assert whole.low <= whole.value


def test_percentiles_need_half_of_the_draws():
    draws = np.array([[1.0, np.nan], [2.0, np.nan], [3.0, 5.0]])
    low, high = percentiles(draws)
    assert low[0] == np.percentile([1, 2, 3], 2.5)
    assert high[0] == np.percentile([1, 2, 3], 97.5)
    assert np.isnan([low[1], high[1]]).all()


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match=r"resamples must be 0 or more\. Got -1"):
        Resampling(resamples=-1)
    with pytest.raises(ConfigError, match="seed must be"):
        Resampling(seed=-1)


def test_no_resamples_no_intervals(make_task):
    task = make_task(20)
    scores = score(Rows.of(task.labels, task.probabilities), Resampling(resamples=0))
    assert all(value.low is None for value in scores.overall.values())
    assert scores.roc[0].band_low is None


def test_everything_on_500_rows_takes_about_a_second(make_task):
    task = make_task(500)
    rows = Rows.of(task.labels, task.probabilities)
    began = time.process_time()
    score(rows)
    assert time.process_time() - began < 3  # 0.25 s on one core of 2020s hardware; the rest is for a busy machine
