"""Results appear whole or not at all: written beside their place under another name, then moved."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from medsynth.errors import OutputError

__all__ = ["atomic_write", "ensure_file", "ensure_folder", "file_stem", "write_json"]

_LONGEST_STEM = 64
_PLAIN = re.compile(r"(?!.*-[0-9a-f]{8}$)\w([\w.-]*[\w-])?", re.ASCII)
"""Ends like no name that was given a hash."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, with any suffix."""


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


def ensure_file(path: str | Path) -> Path:
    """Prove, before the work for it, that a file can be written there; its folder is created.

    Raises:
        OutputError: It is a folder, or its folder cannot be created or written to.
    """
    file = Path(path)
    if file.is_dir():
        raise OutputError(f"{file}: must be a file to write, but is a folder. Give the name of a file in it.")
    ensure_folder(file.parent)
    return file


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; move it to ``path`` if the block ends well, else remove it.

    One process writes a path at a time: the temporary name is a fixed one, so that what a killed process left is
    written over by the next.

    Raises:
        OutputError: ``path`` names no file, the disk is full or the folder cannot be written to; what stood at
            ``path`` is untouched.
    """
    target = Path(path)
    # The suffix stays, because writers choose the format by it.
    temporary = target.parent / f".{target.stem}.partial{target.suffix}"
    try:
        if target.is_dir():
            raise OutputError(f"{target}: must be a file to write, but is a folder. Give the name of a file in it.")
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        # Without it a power cut can leave an empty file under the final name. Windows flushes writable handles only.
        with temporary.open("r+b") as written:
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


def file_stem(name: str) -> str:
    """A file name, without suffix, for whatever a person called a thing: the name itself where every system takes it.

    Otherwise its letters and digits and eight digits of its SHA-256, so that no two names give one. Names that differ
    only in case are two here, though not on every disk; a data set has no such classes.

    >>> file_stem("non-covid"), file_stem("a/b")
    ('non-covid', 'a-b-c14cddc0')
    """
    if _PLAIN.fullmatch(name) and not _RESERVED.fullmatch(name) and len(name) <= _LONGEST_STEM:
        return name
    readable = re.sub(r"[\W_]+", "-", name, flags=re.ASCII).strip("-")[:_LONGEST_STEM]
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{readable or 'name'}-{digest}"
