from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import medsynth

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The builders of tiny_models.py (test modules cannot import each other)."""
    spec = importlib.util.spec_from_file_location("tiny_models", Path(__file__).parent / "tiny_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter, for what must be seen from a fresh process."""
    return sys.executable


@pytest.fixture(scope="session")
def source() -> list[tuple[str, str]]:
    """Name and text of every module of the package."""
    root = Path(medsynth.__file__).parent
    return [(f"medsynth/{p.relative_to(root).as_posix()}", p.read_text("utf-8")) for p in sorted(root.rglob("*.py"))]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB that is nearly full."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small tmpfs cannot be mounted here")
    try:
        (folder / "fill").write_bytes(b"\0" * 40_960)
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
