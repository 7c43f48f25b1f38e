from __future__ import annotations

import json

import pytest

from medsynth.errors import ConfigError
from medsynth.evaluate import Reference


def test_a_reference_of_known_metrics():
    Reference(label="A", classifier={"accuracy": 1, "specificity": 0.5}, generator={"f1": 0.25})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"label": 3}, r"label must be text\. Got 3"),
        ({"note": None}, "note must be text"),
        ({"classifier": [0.5]}, r"classifier must map metrics to numbers\. Got \[0\.5\]"),
        ({"classifier": {"accuracies": 0.5}}, "metrics among loss, accuracy, .* Did you mean 'accuracy'"),
        ({"generator": {"f1": "0.5"}}, "f1 of the generator must be a finite number. Got '0.5'"),
        ({"generator": {"f1": True}}, "must be a finite number"),
        ({"generator": {"auc": float("nan")}}, "must be a finite number"),
    ],
)
def test_any_other_is_refused(fields, said):
    with pytest.raises(ConfigError, match=said):
        Reference(**{"label": "A", **fields})


def test_the_positive_class_is_a_name_everywhere(report):
    fields = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    for part in (fields["classifier"], fields["generator"]):
        assert part["positive"] == fields["classifier"]["model"]["positive"] == "opacity"
