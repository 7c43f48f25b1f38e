"""The table of docs/explanation/planted-faults.md is what the script finds, and every fault is caught by a light."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def faults():
    spec = importlib.util.spec_from_file_location("planted_faults", ROOT / "benchmarks" / "planted_faults.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_the_docs_is_true(faults):
    draws = [faults.examine(draw) for draw in range(faults.DRAWS)]
    page = (ROOT / "docs" / "explanation" / "planted-faults.md").read_text(encoding="utf-8")
    assert faults.table([caught for caught, _ in draws]) in page
    for caught, values in draws:
        for fault in faults.FAULTS:
            assert any(of[fault] for line, of in caught.items() if line.startswith("**")), fault
        assert [fault for fault, found in caught["**privacy**"].items() if found] == ["training images"]
        for line, of in values.items():
            if line.startswith("**"):
                assert all(value < 2 for name, value in of.items() if name.startswith("faultless")), line
