"""How often a test part was used with a model: ``<model>.evaluations.json`` beside the file.

A test part that is looked at again and again becomes a validation part; the report says how often that was.

The file holds ``schema`` (1) and ``evaluations``, a list of entries in order of time: ``date`` (ISO 8601, UTC),
``model`` (content hash), ``data`` (source and fingerprint of the test part), ``images`` and ``overall`` (each metric
with ``value``, ``low``, ``high``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth.errors import ArtifactError
from medsynth.outputs import write_json

if TYPE_CHECKING:
    from medsynth.metrics import Scores

__all__ = ["read_uses", "record_use"]

_SCHEMA = 1


def read_uses(model: Path) -> list[dict[str, Any]]:
    """Entries of the record beside a model file; none where there is no record yet.

    Raises:
        ArtifactError: The record is damaged.
    """
    path = _beside(model)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["evaluations"]
        if not all(isinstance(entry["data"]["fingerprint"], str) for entry in entries):
            raise TypeError("an entry has no fingerprint")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path}: must be the record of earlier evaluations, but cannot be read ({error}). Move it away."
        ) from None
    return list(entries)


def record_use(model: Path, *, content_hash: str, data: Mapping[str, str], scores: Scores) -> int:
    """Add an entry and say how often this test part has been used with this file, this time included.

    Args:
        model: The model file.
        content_hash: Of the model.
        data: ``source`` and ``fingerprint`` of the test part.
        scores: What came out.

    Raises:
        ArtifactError: The record that is there is damaged.
        OutputError: The record cannot be written.
    """
    entry = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": content_hash,
        "data": dict(data),
        "images": scores.images,
        "overall": {name: value.to_dict() for name, value in scores.overall.items()},
    }
    entries = [*read_uses(model), entry]
    write_json(_beside(model), {"schema": _SCHEMA, "evaluations": entries})
    return sum(each["data"]["fingerprint"] == data["fingerprint"] for each in entries)


def _beside(model: Path) -> Path:
    return model.with_name(f"{model.name}.evaluations.json")
