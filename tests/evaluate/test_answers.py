from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medsynth.evaluate.answers import answer_all, class_distance
from medsynth.evaluate.plugin_metrics import MetricRow
from medsynth.evaluate.privacy import PrivacyReport, PrivacyRow
from medsynth.evaluate.sides import Side
from medsynth.evaluate.utility import Arm, UtilityReport
from medsynth.metrics import Estimate, kernel_distance


def metric(name, value, real=1.0, error=None):
    estimate = Estimate(value, None if value is None else value - 0.01, None if value is None else value + 0.01)
    facts = {"summary": "", "distribution": "", "version": ""}
    return MetricRow(name=name, estimate=estimate, real=real, error=error, **facts)


def metrics(precision=1.0, kid=0.0, coverage=1.0, recall=1.0):
    return (
        metric("knn-precision", precision),
        metric("kid", kid, real=0.0),
        metric("coverage", coverage),
        metric("knn-recall", recall),
    )


def utility(gain=(0.02, 0.01, 0.03), p=0.01, alone=(0.8, 0.7, 0.9), grouped=True):
    arms = (
        Arm(name="real", tested_on="real", real=10, added=0, auc=Estimate(0.8)),
        Arm(name="generated", tested_on="real", real=0, added=9, auc=Estimate(*alone)),
        Arm(name="real + generated", tested_on="real", real=10, added=9, gain=Estimate(*gain), p=p),
    )
    told = {"learner": "probe", "description": "logistic regression", "space": "x"}
    return UtilityReport(arms=arms, part="test", seeds=5, grouped=grouped, **told)


def privacy(copies=0, **rows):
    found = {"copies": Estimate(0.0), "copying_test": Estimate(0.0), "membership": Estimate(0.5, 0.45, 0.55)} | rows
    made = tuple(
        PrivacyRow(name=name.replace("_", "-"), space="pixels", estimate=estimate, control=0.5)
        for name, estimate in found.items()
    )
    return PrivacyReport(rows=made, lookalikes=(), copies=copies, duplicates=0, part="test", train=10, held_out=100)


def lights(given=None, apart=1.0, use=None, private=None):
    answers = answer_all(given or metrics(), apart, use or utility(), private or privacy())
    return {answer.question: answer.light for answer in answers}


def test_all_is_well():
    assert set(lights().values()) == {"green"}


@pytest.mark.parametrize(
    ("changed", "question", "light"),
    [
        ({"given": metrics(precision=0.79)}, "fidelity", "yellow"),
        ({"given": metrics(precision=0.49)}, "fidelity", "red"),
        ({"given": metrics(kid=0.3)}, "fidelity", "yellow"),
        ({"given": metrics(kid=1.1)}, "fidelity", "red"),
        ({"given": metrics(kid=1.1), "apart": 10.0}, "fidelity", "green"),
        ({"given": metrics(coverage=0.7)}, "diversity", "yellow"),
        ({"given": metrics(recall=0.3)}, "diversity", "red"),
        ({"use": utility(gain=(0.01, -0.01, 0.03), p=0.3)}, "utility", "yellow"),
        ({"use": utility(p=0.06)}, "utility", "yellow"),
        ({"use": utility(gain=(-0.02, -0.03, -0.01))}, "utility", "red"),
        ({"use": utility(alone=(0.5, 0.4, 0.6))}, "utility", "red"),
        ({"use": utility(alone=(0.5, 0.4, 0.6), grouped=False)}, "utility", "red"),
        ({"use": utility(grouped=False)}, "utility", "yellow"),
        ({"use": utility(gain=(-0.02, -0.03, -0.01), grouped=False)}, "utility", "yellow"),
        ({"private": privacy(copies=1)}, "privacy", "red"),
        ({"private": privacy(copying_test=Estimate(-3.5))}, "privacy", "red"),
        ({"private": privacy(membership=Estimate(0.7, 0.65, 0.75))}, "privacy", "red"),
        ({"private": privacy(membership=Estimate(0.55, 0.51, 0.6))}, "privacy", "yellow"),
        ({"private": privacy(authenticity=Estimate(0.2, 0.15, 0.25))}, "privacy", "yellow"),
        ({"private": privacy(authenticity=Estimate(0.45, 0.4, 0.5))}, "privacy", "green"),
    ],
)
def test_the_rules(changed, question, light):
    found = lights(**changed)
    assert found.pop(question) == light
    assert set(found.values()) == {"green"}


@pytest.mark.parametrize(("control", "light"), [(0.5, "red"), (0.6, "yellow"), (0.66, "green"), (None, "red")])
def test_membership_counts_beyond_what_forgets_everybody(control, light):
    row = PrivacyRow(name="membership", space="x", estimate=Estimate(0.7, 0.65, 0.75), control=control)
    given = privacy()
    assert lights(private=replace(given, rows=(*given.rows, row)))["privacy"] == light


def test_images_of_both_parts_are_told_and_cost_the_green_light():
    given = privacy()
    answer = answer_all(metrics(), 1.0, utility(), replace(given, duplicates=3))[-1]
    assert answer.light == "yellow"
    assert answer.sentence.startswith("3 of 100 images of the test part are training images too")
    assert "measured without them" in answer.sentence
    assert "No sign of copying" in answer.sentence
    every = answer_all(metrics(), 1.0, utility(), replace(given, duplicates=100))[-1]
    assert "100 of 100 images" in every.sentence
    assert "only exact copies" in every.sentence
    assert "measured without them" not in every.sentence
    red = answer_all(metrics(), 1.0, utility(), replace(given, duplicates=3, copies=1))[-1]
    assert red.light == "red"
    assert "3 of 100" in red.sentence


def test_no_number_no_light():
    broken = tuple(metric(row.name, None, error="too few") for row in metrics())
    failed = PrivacyReport(
        rows=(PrivacyRow(name="copies", space="pixels", error="none held out"),),
        lookalikes=(), copies=0, duplicates=0, part="test", train=10, held_out=0,
    )  # fmt: skip
    bare = UtilityReport(arms=(), part="test", seeds=5, learner="probe", description="", space="x", grouped=True)
    answers = answer_all(broken, None, bare, failed)
    assert {answer.light for answer in answers} == {"none"}
    assert "too few" in answers[0].sentence
    assert "none held out" in answers[3].sentence
    assert {answer.light for answer in answer_all((), None, bare, failed)} == {"none"}


def test_the_unit_is_the_distance_of_the_real_classes():
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 4)).astype(np.float32) + np.repeat([0, 1, 2], 20)[:, None]
    images = np.zeros((60, 1, 1, 1), np.uint8)
    side = Side(images=images, labels=np.repeat([0, 1, 2], 20), features=features)
    sets = features.reshape(3, 20, 4)
    pairs = [kernel_distance(sets[a], sets[b]).value for a, b in ((0, 1), (0, 2), (1, 2))]
    assert class_distance(side) == pytest.approx(np.mean(pairs))
    assert class_distance(side.take(np.arange(20))) is None
