from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer import Typer
from typer.testing import CliRunner

from medsynth.cli.dataset import app
from medsynth.errors import CheckFailedError, ConfigError, DataError, OutputError

whole = Typer()
whole.add_typer(app, name="dataset")


@pytest.fixture
def scans(tmp_path):
    """Two classes; one image lies in train and in test."""
    rng = np.random.default_rng(0)
    for label in ("ill", "well"):
        for part, count in (("train", 12), ("test", 4)):
            (tmp_path / "scans" / part / label).mkdir(parents=True)
            for index in range(count):
                image = Image.fromarray(rng.integers(0, 256, (20, 20), np.uint8))
                image.save(tmp_path / "scans" / part / label / f"{index}.png")
    copied = (tmp_path / "scans/train/ill/0.png").read_bytes()
    (tmp_path / "scans/test/ill/0.png").write_bytes(copied)
    return tmp_path / "scans"


def run(*arguments):
    return CliRunner().invoke(whole, ["dataset", "audit", *map(str, arguments)])


def test_audit_prints_a_table_and_writes_json(scans, tmp_path):
    result = run(scans, "--json", tmp_path / "out" / "audit.json")
    assert result.exit_code == 0
    assert "scans: 32 images" in result.output
    assert "duplicate" in result.output
    assert "error" in result.output
    written = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert [finding["code"] for finding in written["findings"]] == ["duplicate-across-split"]
    assert written["schema"] == 1
    assert written["parts"]["test"] == {"ill": 4, "well": 4}
    assert str(tmp_path) not in (tmp_path / "out" / "audit.json").read_text()


@pytest.mark.parametrize("fail_on", ["warning", "error"])
def test_fail_on_raises_a_failed_check_after_writing(scans, tmp_path, fail_on):
    result = run(scans, "--fail-on", fail_on, "--json", tmp_path / "audit.json")
    assert isinstance(result.exception, CheckFailedError)
    assert result.exception.exit_code == 1
    assert "duplicate-across-split" in str(result.exception)
    assert (tmp_path / "audit.json").exists()


def test_nothing_found(scans):
    (scans / "test/ill/0.png").unlink()
    result = run(scans, "--fail-on", "warning")
    assert result.exit_code == 0
    assert "Nothing found." in result.output


def test_bad_input_is_an_error_of_ours(tmp_path):
    assert isinstance(run(tmp_path / "absent").exception, DataError)


def test_help_has_an_example():
    assert "Example: medsynth dataset audit" in run("--help").output


def split(*arguments):
    return CliRunner().invoke(whole, ["dataset", "split", *map(str, arguments)])


def test_split_writes_a_csv_that_is_data(scans, tmp_path):
    from medsynth.dataset import load_dataset

    out = tmp_path / "split.csv"
    result = split(scans, "--by", "regex", "--pattern", "([0-9]+)", "--test", "0.25", "--out", out)
    assert result.exit_code == 0, result.output
    assert "32 images in 12 groups" in result.output
    data = load_dataset(out)
    assert len(set(data.groups)) == 12
    assert data.split.count("test") == pytest.approx(8, abs=2)
    assert run(out).exit_code == 0


def test_split_into_folds(scans, tmp_path):
    from medsynth.dataset import load_dataset

    result = split(scans, "--by", "blocks", "--folds", 2, "--repeats", 2, "--out", tmp_path / "folds")
    assert result.exit_code == 0, result.output
    files = sorted(path.name for path in (tmp_path / "folds").iterdir())
    assert files == [f"repeat-{repeat}-fold-{fold}.csv" for repeat in (0, 1) for fold in (0, 1)]
    tested = [name for fold in (0, 1) for name in load_dataset(tmp_path / "folds" / files[fold]).part("test").names]
    assert len(tested) == len(set(tested)) == 32


def test_split_by_groups_needs_groups(scans, tmp_path):
    assert isinstance(split(scans, "--out", tmp_path / "split.csv").exception, DataError)
    assert not (tmp_path / "split.csv").exists()


@pytest.mark.parametrize("option", ["--validation", "--test"])
def test_folds_have_no_shares(scans, tmp_path, option):
    result = split(scans, "--by", "blocks", "--folds", 2, option, "0.2", "--out", tmp_path / "folds")
    assert isinstance(result.exception, ConfigError)
    assert "--folds" in str(result.exception)
    assert not (tmp_path / "folds").exists()


def test_the_share_of_the_validation_part_is_kept(scans, tmp_path):
    from medsynth.dataset import load_dataset

    counts = []
    for share in ([], ["--validation", "0.3"]):
        each = ("--by", "regex", "--pattern", ".+")  # Each image by itself.
        assert split(scans, *each, *share, "--out", tmp_path / "split.csv").exit_code == 0
        counts.append(load_dataset(tmp_path / "split.csv").split.count("validation"))
    assert counts[0] == pytest.approx(0.15 * 32, abs=1.5)
    assert counts[1] == pytest.approx(0.3 * 32, abs=1.5)


def test_where_findings_cannot_be_written_is_told_before_the_audit(scans, tmp_path, monkeypatch):
    monkeypatch.setattr("medsynth.dataset.audit_dataset", lambda *_, **__: pytest.fail("audited for nothing"))
    result = run(scans, "--json", tmp_path)
    assert isinstance(result.exception, OutputError)
