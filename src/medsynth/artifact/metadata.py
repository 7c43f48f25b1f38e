"""What an artefact says about itself: JSON under the key ``medsynth`` of the ONNX file's metadata.

Schema 1, all keys present: ``schema`` (1), ``task`` (``classifier`` or ``generator``), ``classes`` (names in the order
of the outputs), ``positive`` (one of them), ``image`` (height, width, channels, window), ``resize``, ``plugin`` (name,
distribution, version, options), ``data`` (source, fingerprint, counts), ``training`` (the configuration),
``validation`` (metrics of the validation part), ``intended_use``, ``precision`` (name and its gate), ``versions``,
``threshold`` and ``temperature`` (numbers or null), ``bias`` (a number for each class, or null; files of version 0.1.0
lack it), ``tta`` (how views are averaged in the graph; empty where they are not, and 0.1.0 lacks it), ``golden``
(recipe, seed, count, inputs_sha256, output, values,
tolerance; or null) and ``content_hash`` (:mod:`medsynth.artifact.files` says how it is computed). Unknown keys of a
later version within schema 1 are passed over.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from numbers import Real
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from medsynth.errors import ArtifactError, one_line
from medsynth.images import RESIZE, ImageSpec

__all__ = ["SCHEMA", "Golden", "Metadata", "Task"]

SCHEMA = 1
"""Version of the JSON that this module writes; a file with a higher one is refused."""

Task: TypeAlias = Literal["classifier", "generator"]

_MOST_GOLDEN = 64
"""Golden inputs that a file may ask for; it gets as many images of its own size made, and run."""

# A leading slash, a drive or a share; inside a sentence a slash path needs two parts, so that "and/or" passes.
_ABSOLUTE_PATH = re.compile(r"""^/\w|(?:^|[\s"'`=(,;:])(?:/[\w.\-]+/|~/|[A-Za-z]:[\\/](?!/)|\\\\\w|file:/)""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """A few inputs, remade from a seed, with the outputs that they gave.

    Attributes:
        recipe: ``phantom`` (images of the phantom code) or ``noise`` (noise rows, label i mod classes).
        seed: Seed of the recipe, 0 to 2**64 - 1.
        count: How many inputs, 1 to 64.
        inputs_sha256: Digest of the inputs' bytes, so that a changed recipe is told from a changed model.
        output: Name of the output that is kept.
        values: Probabilities as nested lists, or uint8 images as base64 of zlib of their bytes in C order.
        tolerance: Largest difference allowed, in the output's unit (a probability, or grey levels); 0 or more.
    """

    recipe: str
    seed: int
    count: int
    inputs_sha256: str
    output: str
    values: Any
    tolerance: float

    def __post_init__(self) -> None:
        for name in ("recipe", "inputs_sha256", "output"):
            _require(isinstance(getattr(self, name), str), f"golden.{name}", "text", getattr(self, name))
        _require(_is_integer(self.seed, 0, 2**64 - 1), "golden.seed", "an integer from 0 to 2**64 - 1", self.seed)
        most = _MOST_GOLDEN
        _require(_is_integer(self.count, 1, most), "golden.count", f"an integer from 1 to {most}", self.count)
        _require(isinstance(self.values, (str, list)), "golden.values", "text or lists of numbers", self.values)
        sound = _is_finite(self.tolerance) and self.tolerance >= 0
        _require(sound, "golden.tolerance", "a finite number, 0 or more", self.tolerance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Everything that a user of the file must know; the module's text describes the JSON.

    Attributes:
        task: ``classifier`` or ``generator``.
        classes: Class names in the order of the outputs, at least 2, distinct.
        positive: The positive class, one of ``classes``.
        image: The images that go in (classifier) or come out (generator).
        resize: How other sizes were brought to ``image``.
        plugin: Name, distribution, version and options of the plugin that built the network.
        data: Source (never an absolute path), fingerprint and counts of the data set.
        training: The training configuration.
        validation: Metrics on the validation part.
        intended_use: One or two sentences.
        precision: ``{"name": "fp32", ...}``; for others with the gate that let them pass.
        versions: Versions of the libraries that made the file.
        threshold: The positive class is decided at or above this probability; ``None``: the largest wins.
        temperature: T of probabilities = softmax(logits / T + bias); ``None``: not calibrated.
        bias: One number for each class; ``None``: zeros.
        tta: Views whose logits the graph averages: ``views``, ``moves`` ((down, right) in pixels), ``average``,
            ``parent`` (hash of the file without), ``parity``, ``fitted_on``, ``validation_without``; empty where the
            graph looks at the image alone.
        golden: Set by :func:`~medsynth.artifact.write`.
        content_hash: Set by :func:`~medsynth.artifact.write`.
        schema: :data:`SCHEMA`.
    """

    task: Task
    classes: tuple[str, ...]
    positive: str
    image: ImageSpec
    plugin: Mapping[str, Any]
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    validation: Mapping[str, Any]
    intended_use: str
    versions: Mapping[str, str]
    precision: Mapping[str, Any] = field(default_factory=lambda: {"name": "fp32"})
    resize: Mapping[str, Any] = field(default_factory=lambda: dict(RESIZE))
    threshold: float | None = None
    temperature: float | None = None
    bias: tuple[float, ...] | None = None
    tta: Mapping[str, Any] = field(default_factory=dict)
    golden: Golden | None = None
    content_hash: str = ""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise ArtifactError(f"the task in the metadata must be classifier or generator. Got {self.task!r}.")
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ArtifactError(f"classes in the metadata must be at least 2 distinct names. Got {self.classes}.")
        if self.positive not in self.classes:
            raise ArtifactError(f"the positive class must be one of {', '.join(self.classes)}. Got {self.positive!r}.")
        if not isinstance(self.precision.get("name"), str):
            raise ArtifactError(f"precision in the metadata must have a name. Got {dict(self.precision)}.")
        for name, value in (("threshold", self.threshold), ("temperature", self.temperature)):
            _require(value is None or _is_finite(value), name, "a finite number or null", value)
        views = self.tta.get("views", 0)
        _require(not self.tta or _is_integer(views, 1, 2**31), "tta.views", "how many views are averaged", views)
        _require(self.bias is None or all(map(_is_finite, self.bias)), "bias", "finite numbers or null", self.bias)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        fields = {name: _plain(getattr(self, name)) for name in self.__slots__}
        fields["image"] = self.image.to_dict()
        fields["golden"] = None if self.golden is None else asdict(self.golden)
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Metadata:
        """The inverse of :meth:`to_dict`.

        Raises:
            ArtifactError: A newer schema, a missing key, or a value of another kind.
        """
        try:
            schema = fields.get("schema")
            if not isinstance(schema, int) or schema < 1:
                raise ArtifactError(f"the metadata's schema must be a positive integer. Got {schema!r}.")
            if schema > SCHEMA:
                raise ArtifactError(
                    f"the metadata has schema {schema}; this medsynth reads up to {SCHEMA}. Upgrade medsynth-core."
                )
            golden, digest = fields["golden"], fields["content_hash"]
            _require(bool(_SEAL.fullmatch(digest)), "content_hash", "64 hexadecimal digits", digest)
            return cls(
                schema=schema,
                task=fields["task"],
                classes=tuple(str(name) for name in fields["classes"]),
                positive=str(fields["positive"]),
                image=ImageSpec.from_dict(fields["image"]),
                golden=None if golden is None else Golden(**{name: golden[name] for name in Golden.__slots__}),
                threshold=_number(fields["threshold"]),
                temperature=_number(fields["temperature"]),
                bias=_bias(fields.get("bias"), fields["classes"]),
                intended_use=str(fields["intended_use"]),
                content_hash=digest,
                tta=dict(fields.get("tta", {})),
                **{name: dict(fields[name]) for name in _MAPPINGS},
            )
        except KeyError as error:
            raise ArtifactError(f"the metadata lacks the key {error}. The file was not written by medsynth.") from None
        except ArtifactError:
            raise
        except (TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as error:
            raise ArtifactError(f"the metadata has a value of the wrong kind ({one_line(error)}).") from error


_SEAL = re.compile("([0-9a-f]{64})?")
"""Of a written file, or none yet."""

_MAPPINGS = ("plugin", "data", "training", "validation", "versions", "precision", "resize")


def _plain(value: Any) -> Any:
    """Mappings, sequences and numpy's numbers as what JSON has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else value


def canonical_json(fields: Mapping[str, Any]) -> str:
    """One text for one value: sorted keys, no spaces; what the content hash sees."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def absolute_paths(value: Any, where: str = "metadata") -> Iterator[str]:
    """Places whose text looks like an absolute path, as ``metadata.data.source``."""
    if isinstance(value, str):
        if _ABSOLUTE_PATH.search(value):
            yield where
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from absolute_paths(str(key), f"{where}.{key}")
            yield from absolute_paths(inner, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from absolute_paths(inner, f"{where}[{index}]")


def _require(holds: bool, name: str, wanted: str, got: Any) -> None:
    if not holds:
        raise ArtifactError(f"{name} in the metadata must be {wanted}. Got {repr(got)[:60]}.")


def _is_integer(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_finite(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _bias(value: Any, classes: Any) -> tuple[float, ...] | None:
    if value is None:
        return None
    if len(value) != len(classes):
        raise ArtifactError(f"bias in the metadata must have {len(classes)} numbers. Got {len(value)}.")
    return tuple(float(number) for number in value)
