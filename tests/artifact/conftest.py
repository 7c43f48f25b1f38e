from __future__ import annotations

import sys
from pathlib import Path

import pytest

import medsynth


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter, for what must be seen from a fresh process."""
    return sys.executable


@pytest.fixture(scope="session")
def source() -> list[tuple[str, str]]:
    """Name and text of every module of the package."""
    root = Path(medsynth.__file__).parent
    return [(f"medsynth/{p.relative_to(root).as_posix()}", p.read_text("utf-8")) for p in sorted(root.rglob("*.py"))]
