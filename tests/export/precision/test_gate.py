from __future__ import annotations

import numpy as np
import pytest

from medsynth.errors import ConfigError
from medsynth.export.precision.gate import Budget, judge_images, judge_probabilities
from medsynth.metrics import Rows


def _table(positive):
    positive = np.asarray(positive, np.float32)
    return np.stack([1 - positive, positive], axis=1)


@pytest.fixture
def rows():
    labels = np.arange(200) % 2
    return Rows.of(labels, _table(np.where(labels, 0.8, 0.2) + np.linspace(-0.1, 0.1, 200)), threshold=0.5)


def test_flips_within_and_over_the_budget(rows):
    table = _table(np.where(np.arange(200) % 2, 0.8, 0.2) + np.linspace(-0.1, 0.1, 200))
    table[0] = table[0, ::-1]
    one = judge_probabilities(rows, table, Budget(auc=1.0))
    assert one.passed
    assert one.measured["flipped"] == 1
    assert "1 of 200 decisions flip" in one.summary
    table[1] = table[1, ::-1]
    two = judge_probabilities(rows, table, Budget(auc=1.0))
    assert two.over == ("2 of 200 decisions flip, 0.5 % may",)


def test_a_change_of_the_auc_either_way_counts(rows):
    table = _table(np.where(np.arange(200) % 2, 0.8, 0.2) + np.linspace(-0.1, 0.1, 200))
    table[1::2][:20] = table[::2][:20]
    verdict = judge_probabilities(rows, table, Budget(flips=1.0))
    assert not verdict.passed
    assert "AUC" in verdict.over[0]
    assert judge_probabilities(rows, table, Budget(flips=1.0, auc=1.0)).passed


def test_numbers_that_are_none_never_pass(rows):
    assert not judge_probabilities(rows, np.full((200, 2), np.nan, np.float32), Budget(flips=1.0, auc=1.0)).passed


def test_images_are_judged_by_mean_worst_and_the_classifier():
    reference = np.full((4, 8, 8, 1), 100, np.uint8)
    images = reference.copy()
    images[0, 0, 0, 0] = 130
    verdict = judge_images(reference, images, Budget())
    assert verdict.passed
    assert verdict.measured == {"images": 4, "mean_grey_levels": 30 / 256, "worst_grey_levels": 30}
    assert "worst difference is 30" in judge_images(reference, images, Budget(worst_grey=20)).over[0]
    assert "mean difference" in judge_images(reference, images, Budget(mean_grey=0.1)).over[0]
    named = np.array([0, 1, 0, 1]), np.array([0, 1, 1, 1])
    verdict = judge_images(reference, images, Budget(), named)
    assert verdict.measured["flipped"] == 1
    assert verdict.over == ("the classifier names 1 of 4 differently, 0.5 % may be",)


def test_a_negative_budget_is_refused():
    with pytest.raises(ConfigError, match="budget of auc"):
        Budget(auc=-0.1)
