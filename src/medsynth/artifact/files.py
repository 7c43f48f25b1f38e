"""Reading and writing the ONNX file with its metadata.

The content hash is the SHA-256 of the file's bytes with the 64 digits of ``"content_hash":"..."`` replaced by zeros, so
every byte counts and any language can check it. Loading and saving by the ``onnx`` package gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth.artifact.contract import broken_rules, infos_from_onnx
from medsynth.artifact.golden import make_golden, runtime_says
from medsynth.artifact.metadata import Metadata, absolute_paths, canonical_json
from medsynth.errors import ArtifactError
from medsynth.outputs import atomic_write

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

__all__ = [
    "METADATA_KEY",
    "content_hash",
    "parse_metadata",
    "parse_model",
    "read",
    "read_bytes",
    "require_file",
    "stamp",
    "write",
]

METADATA_KEY = "medsynth"
"""Key of the JSON in the ONNX file's ``metadata_props``."""

_NO_HASH = "0" * 64
_MAX_BYTES = 2**31 - 1  # protobuf's own limit


def write(model: onnx.ModelProto, metadata: Metadata, path: str | Path) -> Metadata:
    """Stamp a model with its metadata, golden outputs and content hash, and write one ONNX file.

    Args:
        model: Keeps the contract of its task; weights inside. It is not changed.
        metadata: ``golden`` and ``content_hash`` are computed here, whatever they hold.
        path: Where the file appears, atomically.

    Returns:
        The metadata as written.

    Raises:
        ArtifactError: The graph breaks the contract, a string looks like an absolute path, a value is not JSON, the
            model is larger than 2 GiB or does not run.
        OutputError: The file cannot be written.
    """
    import onnx

    broken = broken_rules(infos_from_onnx(model.graph.input), infos_from_onnx(model.graph.output), metadata)
    if broken:
        raise ArtifactError(f"{path}: the graph breaks the contract of a {metadata.task}: {'; '.join(broken)}.")
    metadata = replace(metadata, golden=None, content_hash="")
    places = list(absolute_paths(metadata.to_dict()))
    if places:
        raise ArtifactError(
            f"{path}: {', '.join(places)} looks like an absolute path, which must not leave this machine. "
            "Give a name or a relative path."
        )
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.metadata_props[:]
    bare.metadata_props.extend(entry for entry in model.metadata_props if entry.key != METADATA_KEY)
    metadata = replace(metadata, golden=make_golden(serialise(bare), metadata))
    try:
        stamped, digest = stamp(bare, metadata.to_dict())
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: the metadata must hold JSON values only ({error}).") from error
    with atomic_write(path) as temporary:
        temporary.write_bytes(stamped)
    return replace(metadata, content_hash=digest)


def stamp(model: onnx.ModelProto, fields: Mapping[str, Any]) -> tuple[bytes, str]:
    """Append the metadata entry to a model that has none, and seal it: the file's bytes and its content hash."""
    model.metadata_props.add(key=METADATA_KEY, value=canonical_json({**fields, "content_hash": _NO_HASH}))
    blank = serialise(model)
    digest = hashlib.sha256(blank).hexdigest()
    return blank.replace(_sealed(_NO_HASH), _sealed(digest), 1), digest


def content_hash(raw: bytes, recorded: str) -> str:
    """The hash (hexadecimal) that the bytes of an artefact give, where its metadata records ``recorded``."""
    return hashlib.sha256(raw.replace(_sealed(recorded), _sealed(_NO_HASH), 1)).hexdigest()


def _sealed(digest: str) -> bytes:
    return f'"content_hash":"{digest}"'.encode()


def serialise(model: onnx.ModelProto) -> bytes:
    """The bytes that ``onnx.save`` writes.

    Raises:
        ArtifactError: They are more than one ONNX file may have.
    """
    if model.ByteSize() > _MAX_BYTES:
        raise ArtifactError(
            f"the model has {model.ByteSize() / 2**30:.1f} GiB; one ONNX file holds at most 2. "
            "Choose a smaller network or image size."
        )
    return bytes(model.SerializeToString(deterministic=True))


def read(path: str | Path) -> Metadata:
    """The metadata of an artefact.

    Raises:
        ArtifactError: The file is missing, corrupt, not ours, or of a newer schema.
    """
    try:
        return parse_metadata(metadata_text(parse_model(read_bytes(path))))
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error


def require_file(path: str | Path) -> None:
    """Tell before the work that there is no such file.

    Raises:
        ArtifactError: There is none.
    """
    if not Path(path).is_file():
        raise ArtifactError(f"{path}: no such file. Give an ONNX file that medsynth export wrote.")


def read_bytes(path: str | Path) -> bytes:
    """The file's content.

    Raises:
        ArtifactError: It is missing or may not be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ArtifactError(f"the model cannot be read ({error.strerror or error}).") from error


def parse_model(raw: bytes) -> onnx.ModelProto:
    """Parse a file's content; external data is not loaded.

    Raises:
        ArtifactError: It is empty, truncated or not ONNX.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(raw)
    except Exception as error:  # protobuf's DecodeError, which derives from nothing narrower
        raise ArtifactError(f"not an ONNX file, or a truncated one ({runtime_says(error)}).") from error
    if not model.HasField("graph"):
        raise ArtifactError("not an ONNX file: it holds no graph." if raw else "the file is empty.")
    return model


def metadata_text(model: onnx.ModelProto) -> str | None:
    """The JSON text in the model's metadata, or ``None`` where it has none."""
    return next((entry.value for entry in model.metadata_props if entry.key == METADATA_KEY), None)


def parse_metadata(text: str | None) -> Metadata:
    """Metadata from its JSON text.

    Raises:
        ArtifactError: There is none, or it cannot be read.
    """
    if text is None:
        raise ArtifactError(
            f"no metadata under the key {METADATA_KEY!r}: not an artefact of medsynth. Write one with medsynth export."
        )
    try:
        fields = json.loads(text)
        canonical_json(fields).encode()  # Escapes may hold half a character, which no screen or table can take.
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"the metadata is not JSON ({error}).") from error
    if not isinstance(fields, dict):
        raise ArtifactError(f"the metadata must be a JSON object. Got {type(fields).__name__}.")
    return Metadata.from_dict(fields)
