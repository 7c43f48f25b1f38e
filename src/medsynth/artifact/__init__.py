"""The ONNX artefact: one file that any onnxruntime can serve, with everything a user must know inside.

:func:`write` stamps a model, :func:`read` gives its :class:`Metadata`, :func:`verify` asks the file to prove itself.
"""

from __future__ import annotations

from medsynth.artifact.checks import Check, verify
from medsynth.artifact.files import METADATA_KEY, read, write
from medsynth.artifact.metadata import SCHEMA, Golden, Metadata
from medsynth.artifact.philox import noise

__all__ = ["METADATA_KEY", "SCHEMA", "Check", "Golden", "Metadata", "noise", "read", "verify", "write"]
