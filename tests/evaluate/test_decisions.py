from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medsynth.errors import ConfigError
from medsynth.evaluate import evaluate_classifier
from medsynth.evaluate.by_group import errors_by_group
from medsynth.metrics import Resampling

FEW = Resampling(resamples=20)


def test_thresholds_for_a_sensitivity_are_chosen_on_validation(load, data):
    model = load("classifier.onnx")
    decisions = evaluate_classifier(model, data, resampling=FEW).decisions
    assert {rule.name for rule in decisions.rules} == {"operating", "half", "sensitivity"}
    validation = data.part("validation").decode(model.image)
    scores = model.run(validation.images)["probabilities"][:, 1]
    for rule in decisions.rules:
        if rule.name == "sensitivity":
            assert rule.chosen_on == "validation"
            assert (scores[validation.labels == 1] >= rule.point.threshold).mean() >= rule.target
    thresholds = [rule.point.threshold for rule in decisions.rules]
    assert thresholds == sorted(thresholds, reverse=True)
    assert 0.4 in thresholds


def test_without_validation_the_table_says_that_test_chose(load, data):
    without = data.take([row for row, part in enumerate(data.split) if part != "validation"])
    rules = evaluate_classifier(load("classifier.onnx"), without, resampling=FEW).decisions.rules
    assert {rule.chosen_on for rule in rules if rule.name == "sensitivity"} == {"test"}


def test_prevalence_is_the_datas_unless_stated(load, data):
    usual = evaluate_classifier(load("classifier.onnx"), data, resampling=FEW).decisions
    counts = data.part("test").counts()
    assert usual.prevalence == pytest.approx(counts["opacity"] / sum(counts.values()))
    assert not usual.prevalence_stated
    stated = evaluate_classifier(load("classifier.onnx"), data, prevalence=0.02, resampling=FEW)
    assert stated.decisions.prevalence_stated
    written = stated.to_dict()
    assert written["prevalence"] == {"value": 0.02, "stated": True}
    assert {point["prevalence"] for point in written["operating_points"]} == {0.02}
    with pytest.raises(ConfigError, match="prevalence must be"):
        evaluate_classifier(load("classifier.onnx"), data, prevalence=2.0)


def test_the_operating_line_is_that_of_the_confusion_matrix(load, data):
    report = evaluate_classifier(load("classifier.onnx"), data, resampling=FEW)
    (own,) = (rule.point for rule in report.decisions.rules if rule.name == "operating")
    confusion = report.scores.confusion
    assert own.sensitivity.value == pytest.approx(confusion[1, 1] / confusion[1].sum())
    assert own.specificity.value == pytest.approx(confusion[0, 0] / confusion[0].sum())


def test_three_classes_have_curves_and_no_thresholds(load, shades):
    decisions = evaluate_classifier(load("shades-classifier.onnx"), shades, resampling=FEW).decisions
    assert decisions.rules == ()
    assert len(decisions.reliability) == len(decisions.precision_recall) == 3


def test_errors_are_counted_by_group(load, data):
    report = evaluate_classifier(load("classifier.onnx"), data, resampling=FEW)
    test = data.part("test")
    assert sum(group.images for group in report.groups) == len(test)
    wrong = report.scores.confusion.sum() - np.trace(report.scores.confusion)
    assert sum(group.errors for group in report.groups) == wrong
    assert [group.errors for group in report.groups] == sorted((g.errors for g in report.groups), reverse=True)
    assert {group.group for group in report.groups} == set(test.groups)
    assert evaluate_classifier(load("classifier.onnx"), replace(data, groups=None), resampling=FEW).groups is None


def test_groups_with_most_errors_come_first():
    rows = errors_by_group(["b", "a", "a", "c", "c", "c"], np.array([1, 1, 1, 1, 0, 1], bool))
    assert [(row.group, row.errors, row.images) for row in rows] == [("a", 2, 2), ("c", 2, 3), ("b", 1, 1)]
