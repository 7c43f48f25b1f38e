from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.artifact import SCHEMA, Golden, Metadata
from medsynth.artifact.metadata import absolute_paths, canonical_json
from medsynth.errors import ArtifactError
from medsynth.images import ImageSpec

if TYPE_CHECKING:
    from types import ModuleType


def test_round_trip_through_json(tiny: ModuleType) -> None:
    golden = Golden(
        recipe="phantom", seed=1, count=1, inputs_sha256="a", output="probabilities", values=[[1.0]], tolerance=1
    )
    spec = ImageSpec(height=3, width=4, channels=1, window=(-1000.0, 400.0))
    metadata = tiny.metadata(
        "classifier", ("a", "b", "ü"), spec, threshold=0.25, temperature=1.5, bias=(0.5, 0, -0.5), golden=golden
    )
    again = Metadata.from_dict(json.loads(canonical_json(metadata.to_dict())))
    assert again == metadata
    assert again.schema == SCHEMA
    assert again.image.window == (-1000.0, 400.0)


def test_numpy_numbers_become_plain(tiny: ModuleType) -> None:
    metadata = tiny.metadata("classifier", validation={"auc": np.float32(0.5), "roc": (np.int64(1), 2)})
    assert metadata.to_dict()["validation"] == {"auc": 0.5, "roc": [1, 2]}


def test_a_newer_schema_says_upgrade(tiny: ModuleType) -> None:
    fields = {**tiny.metadata("classifier").to_dict(), "schema": SCHEMA + 1}
    with pytest.raises(ArtifactError, match=r"schema 2; this medsynth reads up to 1. Upgrade medsynth-core"):
        Metadata.from_dict(fields)


def test_a_file_of_before_there_was_a_bias_is_read(tiny: ModuleType) -> None:
    fields = tiny.metadata("classifier").to_dict()
    del fields["bias"]
    assert Metadata.from_dict(fields) == tiny.metadata("classifier")


def test_unknown_keys_are_passed_over(tiny: ModuleType) -> None:
    fields = {**tiny.metadata("classifier").to_dict(), "added_later": 1}
    assert Metadata.from_dict(fields) == tiny.metadata("classifier")


@pytest.mark.parametrize(
    "key", ["task", "classes", "positive", "image", "plugin", "golden", "threshold", "content_hash"]
)
def test_a_missing_key_is_named(tiny: ModuleType, key: str) -> None:
    fields = tiny.metadata("classifier").to_dict()
    del fields[key]
    with pytest.raises(ArtifactError, match=f"lacks the key '{key}'"):
        Metadata.from_dict(fields)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "detector"}, "must be classifier or generator"),
        ({"classes": ["one"]}, "at least 2 distinct names"),
        ({"classes": ["a", "a"]}, "at least 2 distinct names"),
        ({"positive": "absent"}, "must be one of clear, opacity"),
        ({"precision": {}}, "must have a name"),
        ({"bias": [0.5]}, "bias in the metadata must have 2 numbers"),
        ({"schema": "1"}, "schema must be a positive integer"),
        ({"schema": None}, "schema must be a positive integer"),
        ({"plugin": 3}, "wrong kind"),
        ({"image": {"height": 0, "width": 1, "channels": 1}}, "at least 1x1"),
        ({"image": {"height": 1}}, "lacks the key 'width'"),
        ({"threshold": "high"}, "wrong kind"),
        ({"golden": {"recipe": "phantom"}}, "lacks the key"),
    ],
)
def test_wrong_values(tiny: ModuleType, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ArtifactError, match=said):
        Metadata.from_dict({**tiny.metadata("classifier").to_dict(), **changes})


def test_it_is_frozen(tiny: ModuleType) -> None:
    metadata = tiny.metadata("classifier")
    with pytest.raises(AttributeError):
        metadata.positive = "clear"
    assert replace(metadata, positive="clear").positive == "clear"


@pytest.mark.parametrize(
    "text",
    [
        "/home/a/b",
        "/data",
        "~/scans",
        "C:\\scans\\a",
        "d:/x/y",
        "\\\\server\\share",
        "file:///tmp/x",
        "in '/mnt/ct/train'",
        "weights=/opt/w.h5/x",
        "saved to /var/lib/x",
    ],
)
def test_absolute_paths_are_seen(text: str) -> None:
    assert list(absolute_paths({"a": [{"b": text}]})) == ["metadata.a[0].b"]
    assert list(absolute_paths({text: 1}))


@pytest.mark.parametrize(
    "text",
    [
        *("and/or", "runs/cls", "1/2", "https://doi.org/10.1/x", "w/o contrast", "a: b", "Covid-7/9.jpg", ""),
        *("ratio 3 / 4", "CT (512/512)", "10:30", "x:y", "phantom", "~5 %"),
    ],
)
def test_other_text_passes(text: str) -> None:
    assert list(absolute_paths({"a": [text], "b": 1.0, "c": None})) == []


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_canonical_json_does_not_depend_on_order(value: Any) -> None:
    def turned(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {key: turned(inner[key]) for key in reversed(inner)}
        return [turned(x) for x in inner] if isinstance(inner, list) else inner

    assert canonical_json({"x": value}) == canonical_json({"x": turned(value)})
    assert json.loads(canonical_json({"x": value})) == {"x": value}
