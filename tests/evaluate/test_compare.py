from __future__ import annotations

import copy
import json
import shutil

import pytest
from typer.testing import CliRunner

from medsynth.cli.evaluate import app
from medsynth.errors import DataError
from medsynth.evaluate import write_report
from medsynth.evaluate.compare import compare_evaluations


@pytest.fixture(scope="module")
def evaluated(report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared") / "a"
    write_report(folder, report)
    return folder


def changed(folder, tmp_path, change):
    """A copy of an evaluation with other numbers."""
    other = tmp_path / "b"
    shutil.copytree(folder, other)
    fields = json.loads((other / "metrics.json").read_text())
    change(fields)
    (other / "metrics.json").write_text(json.dumps(fields))
    return other


def test_the_same_evaluation_twice(evaluated):
    found = compare_evaluations(evaluated, evaluated)
    assert found.same_features
    assert found.warnings == ()
    assert [answer.question for answer in found.answers] == ["fidelity", "diversity", "utility", "privacy"]
    assert {row.group for row in found.rows} == {"verdict", "features", "images", "utility", "privacy"}
    for row in found.rows:
        assert row.first == row.second
        assert row.apart in {None, False}
    assert any(row.first.error for row in found.rows)  # Failures are rows here too.
    json.dumps(found.to_dict(), allow_nan=False)


def test_numbers_of_two_feature_spaces_share_no_row(evaluated, tmp_path):
    def other_network(fields):
        fields["generator"]["features"]["content_hash"] = "another"

    found = compare_evaluations(evaluated, changed(evaluated, tmp_path, other_network))
    assert not found.same_features
    assert "two feature spaces" in found.warnings[0]
    measured = [row for row in found.rows if row.group in {"features", "utility"}]
    assert len(measured) > 10
    assert all((row.first is None) != (row.second is None) for row in measured)
    pixels = [row for row in found.rows if row.space == "pixels"]
    assert pixels
    assert all(row.first and row.second for row in pixels)


def test_retrained_networks_are_compared_where_their_recipe_is_the_same(evaluated, tmp_path):
    def retrained(fields):
        told = {"learner": "retrained network", "description": "vgg16, recipe 1", "space": None}
        fields["generator"]["utility"] |= told

    def with_other_features(fields):
        retrained(fields)
        fields["generator"]["features"]["content_hash"] = "another"

    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    one = changed(evaluated, tmp_path / "one", retrained)
    both = compare_evaluations(one, changed(evaluated, tmp_path / "two", with_other_features))
    assert all(row.first and row.second for row in both.rows if row.group == "utility")
    kept = {"pixels", None, "c.onnx"}
    for row in both.rows:
        if row.group == "privacy":
            alone = row.space not in kept and row.name != "classifier-membership"
            assert ((row.first is None) != (row.second is None)) == alone, row
    mixed = compare_evaluations(evaluated, one)
    assert any("two learners" in warning for warning in mixed.warnings)
    assert not any(row.first and row.second for row in mixed.rows if row.group == "utility")

    def earlier(fields):
        del fields["generator"]["utility"]["learner"]

    with pytest.raises(DataError, match="an earlier version"):
        compare_evaluations(evaluated, changed(evaluated, tmp_path / "three", earlier))


def test_what_differs_is_told(evaluated, tmp_path):
    def change(fields):
        fields["generator"]["count"] = 80
        fields["generator"]["privacy"]["part"] = "test"
        fields["data"]["fingerprint"] = "x"
        fields["generator"]["overall"]["accuracy"] = {"value": 9.5, "low": 9, "high": 10}

    found = compare_evaluations(evaluated, changed(evaluated, tmp_path, change))
    assert len(found.warnings) == 3
    accuracy = next(row for row in found.rows if row.name == "accuracy")
    assert accuracy.apart is True
    assert accuracy.second.value == 9.5


def test_anything_else_is_refused(evaluated, tmp_path):
    with pytest.raises(DataError, match="must be what medsynth evaluate generator wrote"):
        compare_evaluations(evaluated, tmp_path)
    with pytest.raises(DataError, match=r"must hold an evaluated generator, schema 1\. Got schema 1 and none"):
        compare_evaluations(evaluated, changed(evaluated, tmp_path, lambda fields: fields.update(generator=None)))


def test_the_command_writes_both_files(evaluated, tmp_path):
    def change(fields):
        fields["generator"] = copy.deepcopy(fields["generator"]) | {"seed": 5}

    other = changed(evaluated, tmp_path, change)
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["compare", str(evaluated), str(other), "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "privacy: " in result.output
    page = (out / "compare.html").read_text(encoding="utf-8")
    assert "a and b side by side" in page
    assert "also in compare.json" in page
    assert "<script" not in page
    assert json.loads((out / "compare.json").read_text())["schema"] == 1
