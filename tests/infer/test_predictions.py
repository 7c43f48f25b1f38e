from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medsynth.dataset import Skipped
from medsynth.errors import ConfigError, MissingExtraError, OutputError
from medsynth.infer import Predictions

CLASSES = ("covid", "non, covid")
PROBABILITIES = np.array([[0.25, 0.75], [1 / 3, 2 / 3], [1.0, 0.0], [1e-20, 1.0]], np.float32)


def predictions(**changes: Any) -> Predictions:
    fields: dict[str, Any] = {
        "names": ("a/1.png", 'b "2".png', "ü\n3.png", "4.png"),
        "probabilities": PROBABILITIES,
        "classes": CLASSES,
        "positive": "covid",
        "threshold": 0.3,
        "skipped": (Skipped("x.png", "the file is empty."),),
        "facts": {"device": "cpu", "model": {"content_hash": "0"}},
    }
    return Predictions(**{**fields, **changes})


def test_the_threshold_decides_two_classes() -> None:
    assert predictions().predicted == ("non, covid", "covid", "covid", "non, covid")
    assert predictions(threshold=None).predicted == ("non, covid", "non, covid", "covid", "non, covid")
    assert predictions(threshold=0.25).predicted[0] == "covid"  # at the threshold
    assert predictions(positive="non, covid", threshold=0.7).predicted[:2] == ("non, covid", "covid")


@given(st.lists(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3), min_size=1))
def test_more_classes_take_the_largest(rows: list[list[float]]) -> None:
    names = tuple(map(str, range(len(rows))))
    table = predictions(
        names=names, probabilities=np.asarray(rows, np.float32), classes=("a", "b", "c"), positive="c", threshold=0.9
    )
    assert table.predicted == tuple("abc"[row.index(max(row))] for row in rows)


def test_csv(tmp_path: Path) -> None:
    table = predictions()
    table.write(tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "predicted", "probability_covid", "probability_non, covid"]
    assert [row[0] for row in rows] == list(table.names)
    assert tuple(row[1] for row in rows) == table.predicted
    assert np.array_equal(np.array([row[2:] for row in rows]).astype(np.float32), PROBABILITIES)


def test_jsonl(tmp_path: Path) -> None:
    table = predictions()
    table.write(tmp_path / "p.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text("utf-8").split("\n")[:-1]]
    assert [line["path"] for line in lines] == list(table.names)
    assert tuple(line["predicted"] for line in lines) == table.predicted
    got = np.array([[line["probabilities"][name] for name in CLASSES] for line in lines], np.float32)
    assert np.array_equal(got, PROBABILITIES)


def test_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = predictions()
    table.write(tmp_path / "p.parquet")
    read = parquet.read_table(tmp_path / "p.parquet")
    assert read.column_names == ["path", "predicted", "probability_covid", "probability_non, covid"]
    assert tuple(read["path"].to_pylist()) == table.names
    got = np.stack([read[name].to_numpy() for name in read.column_names[2:]], axis=1)
    assert got.dtype == np.float32
    assert np.array_equal(got, PROBABILITIES)


def test_meta_says_how_and_what_was_left_out(tmp_path: Path) -> None:
    predictions().write(tmp_path / "p.csv")
    assert json.loads((tmp_path / "p.csv.meta.json").read_text()) == {
        "schema": 1,
        "device": "cpu",
        "model": {"content_hash": "0"},
        "classes": list(CLASSES),
        "positive": "covid",
        "threshold": 0.3,
        "rows": 4,
        "quarantine": [{"name": "x.png", "reason": "the file is empty."}],
    }


@pytest.mark.parametrize("name", ["p.txt", "p", "p.csv.gz"])
def test_other_suffixes(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"must end in .csv, .jsonl, .parquet"):
        predictions().write(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_parquet_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"needs pyarrow.*medsynth-core\[parquet\]"):
        predictions().write(tmp_path / "p.parquet")
    assert not list(tmp_path.iterdir())


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        predictions().write(tmp_path / "file" / "p.csv")
