"""Results appear whole or not at all: written beside their place under another name, then moved."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from medsynth.errors import OutputError

__all__ = ["atomic_write", "ensure_folder", "write_json"]


def ensure_folder(path: str | Path) -> Path:
    """Create a folder for results and prove that it can be written to.

    Raises:
        OutputError: It cannot be created or written to, or is a file.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError:
        raise OutputError(f"{folder}: must be a folder for the results, but is a file. Choose another --out.") from None
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot write results there ({error.strerror or error}). Choose another --out."
        ) from error
    return folder


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; move it to ``path`` if the block ends well, else remove it.

    Raises:
        OutputError: The disk is full or the folder cannot be written to; what stood at ``path`` is untouched.
    """
    target = Path(path)
    # The suffix stays, because writers choose the format by it.
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        # Without it a power cut can leave an empty file under the final name.
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{target}: cannot be written ({error.strerror or error}).") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically: UTF-8, indented, keys in the order given; NaN is not JSON and raises ``ValueError``."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
