from __future__ import annotations

import json

import numpy as np
import pytest

from medsynth.metrics import STATISTICS, Rows, score


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_hold_every_metric_with_an_interval_around_it(make_task, classes):
    task = make_task(120, classes)
    scores = score(Rows.of(task.labels, task.probabilities, groups=task.groups))
    assert list(scores.overall) == list(STATISTICS)
    for name, whole in scores.overall.items():
        assert whole.low <= whole.value <= whole.high, name
        assert len(scores.per_class[name]) == classes
    assert scores.confusion.sum() == scores.images == 120
    assert scores.units == len(set(task.groups))
    assert scores.grouped


def test_json_round_trip_keeps_the_numbers(make_task):
    task = make_task(60)
    scores = score(Rows.of(task.labels, task.probabilities, threshold=0.4))
    fields = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert fields["overall"]["auc"]["value"] == scores.overall["auc"].value
    assert fields["confusion"] == scores.confusion.tolist()
    assert fields["threshold"] == 0.4
    assert fields["interval"]["unit"] == "image"
    assert fields["roc"][1]["thresholds"][0] is None
    assert len(fields["roc"][1]["band"]["low"]) == 101


def test_one_class_alone_is_scored_without_curves():
    scores = score(Rows.of([1] * 4, [[0.2, 0.8]] * 3 + [[0.9, 0.1]]))
    assert scores.roc == (None, None)
    assert scores.overall["auc"].value is None
    assert scores.overall["accuracy"].value == 0.75
    json.dumps(scores.to_dict(), allow_nan=False)


def test_binary_classes_mirror_each_other(make_task):
    task = make_task(80)
    zero, one = (score(Rows.of(task.labels, task.probabilities, positive=index)) for index in (0, 1))
    for name in ("precision", "recall", "f1"):
        assert zero.overall[name].value == pytest.approx(one.per_class[name][0].value)
    np.testing.assert_allclose(zero.overall["auc"].value, one.overall["auc"].value)
