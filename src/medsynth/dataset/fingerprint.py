"""What makes two data sets the same one, wherever they lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from medsynth.images import ImageSource

__all__ = ["content_hashes", "fingerprint"]


def fingerprint(
    images: Sequence[ImageSource],
    names: Sequence[str],
    labels: Sequence[int],
    split: Sequence[str],
    classes: Sequence[str],
) -> str:
    """sha256 (hex) over classes, and over name, label, part and content of each row.

    Leading folders that all names share do not count, so a folder and a CSV that lists it agree.
    """
    parts = [PurePosixPath(name).parts for name in names]
    shared = 0
    while parts and all(len(path) > shared + 1 and path[shared] == parts[0][shared] for path in parts):
        shared += 1
    tails = ["/".join(path[shared:]) for path in parts]
    rows = list(zip(tails, labels, split, content_hashes(images), strict=True))
    return hashlib.sha256(json.dumps([list(classes), rows]).encode()).hexdigest()


def content_hashes(images: Sequence[ImageSource]) -> list[str]:
    """sha256 (hex) of each file's bytes, or of each array's dtype, shape and values; ``unreadable`` for a lost file."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(_content_hash, images))


def _content_hash(image: ImageSource) -> str:
    if isinstance(image, np.ndarray):
        values = np.ascontiguousarray(image, image.dtype.newbyteorder("<"))
        return hashlib.sha256(f"{values.dtype.str} {values.shape} ".encode() + values.tobytes()).hexdigest()
    try:
        with Path(image).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return "unreadable"
