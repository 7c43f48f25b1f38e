from __future__ import annotations

import json

import numpy as np
import pytest

from medsynth.errors import DataError
from medsynth.evaluate.report.history import best_epoch, filmstrips, read_series, thinned
from medsynth.outputs import file_stem


def test_series_count_from_one_and_end_before_a_broken_line(tmp_path):
    lines = [{"epoch": 0, "loss": 1.5}, {"epoch": 1, "loss": 1.0, "val_auc": 0.7, "note": "text"}]
    text = "\n".join(map(json.dumps, lines)) + '\n{"epoch": 2, "lo'
    (tmp_path / "history.jsonl").write_text(text)
    series = read_series(tmp_path)
    assert series["epoch"].tolist() == [1, 2]
    assert series["loss"].tolist() == [1.5, 1.0]
    np.testing.assert_array_equal(series["val_auc"], [np.nan, 0.7])
    assert "note" not in series


def test_missing_and_empty_histories_are_explained(tmp_path):
    with pytest.raises(DataError, match=r"history\.jsonl holds no whole line .* Give the folder of a training run"):
        read_series(tmp_path)
    (tmp_path / "history.jsonl").write_text('{"epo')
    with pytest.raises(DataError, match="holds no whole line"):
        read_series(tmp_path)
    (tmp_path / "history.jsonl").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"cannot be read .* Give the folder of a training run"):
        read_series(tmp_path)


def test_best_epoch_where_the_run_names_one(tmp_path):
    assert best_epoch(tmp_path) is None
    (tmp_path / "run.json").write_text('{"outcome": {"best_epoch": 4}}')
    assert best_epoch(tmp_path) == 5
    (tmp_path / "run.json").write_text('{"outcome": {}}')
    assert best_epoch(tmp_path) is None


@pytest.mark.parametrize("length", [3, 400, 401, 12345])
def test_thinning_keeps_means_and_ends(length):
    series = {"step": np.arange(length, dtype=float), "loss": np.random.default_rng(0).random(length)}
    thin = thinned(series)
    assert len(thin["step"]) == min(length, 400)
    assert (np.diff(thin["step"]) > 0).all()
    spans = np.diff([*np.linspace(0, length, len(thin["loss"]) + 1).astype(int)])
    assert np.average(thin["loss"], weights=spans) == pytest.approx(series["loss"].mean())


def test_filmstrips_that_exist(tmp_path):
    (tmp_path / "filmstrip-ill.png").write_bytes(b"")
    assert filmstrips(tmp_path, ("ill", "well")) == {"ill": tmp_path / "filmstrip-ill.png"}


def test_a_class_name_that_no_file_can_have(tmp_path):
    path = tmp_path / f"filmstrip-{file_stem('a/b')}.png"
    path.write_bytes(b"")
    assert filmstrips(tmp_path, ("a/b", "..")) == {"a/b": path}
