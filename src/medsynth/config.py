"""How a classifier or a generator is trained: frozen settings, from keywords, ``-O key=value`` and TOML files alike.

A key that names a field here is a training setting; every other key is an option of the chosen plugin, which checks it.
A TOML file has the tables ``[classifier]`` and ``[generator]``, see :func:`read_toml`.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from medsynth.errors import ConfigError, did_you_mean
from medsynth.hints import describe, fits

__all__ = ["ClassifierConfig", "GeneratorConfig", "parse_assignments", "read_toml"]


@dataclass(frozen=True, kw_only=True)
class _Config:
    """What both have in common; ``options`` go to the plugin's constructor."""

    options: Mapping[str, Any] = field(default_factory=dict)
    image_size: int = field(default=64, metadata={"at_least": 8})
    channels: Literal[1, 3] | None = None
    batch_size: int = field(default=32, metadata={"at_least": 2})
    seed: int = field(default=0, metadata={"at_least": 0, "at_most": 2**32 - 1})

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            if not fits(value, hints[spec.name]):
                raise ConfigError(f"option '{spec.name}' must be {describe(hints[spec.name])}. Got {value!r}.")
            for bound, words, outside in (("at_least", "at least", operator.lt), ("at_most", "at most", operator.gt)):
                if bound in spec.metadata and outside(value, spec.metadata[bound]):
                    raise ConfigError(f"option '{spec.name}' must be {words} {spec.metadata[bound]}. Got {value!r}.")
        if not isinstance(self.options, Mapping):
            raise ConfigError(f"'options' must be a table of the plugin's options. Got {self.options!r}.")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Sort flat settings into training settings and plugin options.

        Args:
            settings: Field names of this class and option names of the plugin; a table ``options`` is merged in.

        Raises:
            ConfigError: A training setting has a value it cannot have.
        """
        names = cls.field_names()
        known = {key: value for key, value in settings.items() if key in names}
        options = {key: value for key, value in settings.items() if key not in names and key != "options"}
        table = settings.get("options", {})
        return cls(**known, options={**table, **options} if isinstance(table, Mapping) else table)

    @classmethod
    def field_names(cls) -> frozenset[str]:
        """The training settings (all other keys are options of the plugin)."""
        return frozenset(spec.name for spec in dataclasses.fields(cls)) - {"options"}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and TOML; ``None`` is left out, because TOML has no such value."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig(_Config):
    """How a classifier is trained.

    Attributes:
        backbone: Name of a backbone plugin.
        options: Options of the plugin.
        image_size: Height and width of the network's input, pixels.
        channels: 1 or 3; ``None``: as the data.
        batch_size: Images a step, at least 2.
        epochs: Most passes over the training part.
        learning_rate: Of Adam.
        patience: Epochs without a lower validation loss after which training stops; the best epoch's weights are kept.
        augmentation: Small random rotations, shifts, scales and intensity changes of training images; no flips, which
            would swap left and right.
        noise: Standard deviation, in grey levels, up to which the augmentation adds Gaussian noise.
        class_weight: ``"balanced"`` weights each class by n / (classes x n_class), ``"none"`` does not.
        seed: Of initial weights, batch order, augmentation and dropout.
    """

    backbone: str = "vgg16"
    image_size: int = field(default=128, metadata={"at_least": 8})
    epochs: int = field(default=20, metadata={"at_least": 1})
    learning_rate: float = 1e-4
    patience: int = field(default=5, metadata={"at_least": 1})
    augmentation: bool = True
    noise: float = field(default=0.0, metadata={"at_least": 0, "at_most": 255})
    class_weight: Literal["balanced", "none"] = "balanced"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigError(f"option 'learning_rate' must be above 0 and finite. Got {self.learning_rate}.")


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig(_Config):
    """How a generator is trained.

    Attributes:
        generator: Name of a generator plugin.
        options: Options of the plugin.
        image_size: Height and width of the images, pixels.
        channels: 1 or 3; ``None``: as the data.
        batch_size: Real images a step, at least 2.
        steps: Training steps.
        sample_every: Steps between two grids of images (and between two checkpoints); 0: a twentieth of ``steps``.
        seed: Of initial weights, batch order and noise.
    """

    generator: str = "acgan"
    steps: int = field(default=2000, metadata={"at_least": 1})
    sample_every: int = field(default=0, metadata={"at_least": 0})


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """``["epochs=5", "head=fc4096"]`` to values: what TOML reads as a value is one, anything else is a string.

    >>> parse_assignments(["epochs=5", "head=fc4096", "batch_norm=true", "width=0.25"])
    {'epochs': 5, 'head': 'fc4096', 'batch_norm': True, 'width': 0.25}

    Raises:
        ConfigError: One has no ``=`` or no key.
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not (equals and key.strip()):
            raise ConfigError(f"-O must look like key=value. Got '{assignment}'.")
        try:
            settings[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            settings[key.strip()] = text
    return settings


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a configuration file.

    Args:
        path: A TOML file with the tables ``[classifier]`` and ``[generator]``; ``medsynth run`` also takes
            ``[[reference]]``, other people's numbers for the report.

    Returns:
        ``classifier`` and ``generator`` (tables, empty where absent) and ``reference`` (a list of tables).

    Raises:
        ConfigError: The file is missing or not TOML, or has another table.
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not a TOML file: {error}.") from None
    known: dict[str, Any] = {"classifier": {}, "generator": {}, "reference": []}
    for name, table in tables.items():
        if name not in known or not isinstance(table, type(known[name])):
            raise ConfigError(
                f"{path}: may only hold the tables [classifier], [generator] and [[reference]]. "
                f"Got '{name}'.{did_you_mean(name, known)}"
            )
    return known | tables
