from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer import Typer
from typer.testing import CliRunner

from medsynth.cli.dataset import app
from medsynth.errors import CheckFailedError, DataError

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
