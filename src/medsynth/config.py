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

# NaN is within no bound.
_WITHIN = {"at_least": operator.ge, "at_most": operator.le, "above": operator.gt, "below": operator.lt}


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
            for bound, limit in spec.metadata.items():
                if value is not None and not _WITHIN[bound](value, limit):
                    words = "finite" if limit == math.inf else f"{bound.replace('_', ' ')} {limit}"
                    raise ConfigError(f"option '{spec.name}' must be {words}. Got {value!r}.")
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
    def chosen(cls, config: Self | None, settings: Mapping[str, Any]) -> Self:
        """``config``, or one made of ``settings``.

        Raises:
            ConfigError: Both are given, or a setting has a value it cannot have.
        """
        if config is None:
            return cls.from_settings(settings)
        if settings:
            raise ConfigError(f"settings come by config or by keyword, not both. Got config and {', '.join(settings)}.")
        return config

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
        learning_rate: Of Adam with decoupled weight decay, at its highest. ``None``: 5e-5 where layers with pretrained
            weights are trained, else 1e-3.
        schedule: ``"cosine"``: the learning rate rises over the first twentieth of the steps and then falls to a
            hundredth along half a cosine; ``"constant"``.
        weight_decay: Share of each trained weight that a step at learning rate 1 would take off; 0: plain Adam.
        label_smoothing: Share of each label that is given to all classes alike, below 1.
        keep: ``"best"``: the weights of the epoch with the lowest validation loss; ``"last"``: those of the last epoch,
            and all are trained. ``None``: the last where the network starts from pretrained weights or only its head is
            trained, because a validation part of few patients would stop it too soon; else the best.
        patience: With ``"best"``: epochs without a lower validation loss after which training stops.
        augmentation: Small random rotations, shifts, scales and intensity changes of training images; no flips, which
            would swap left and right. ``None``: only where no layers are frozen before the trained ones, because
            frozen features of interpolated images are not those of images as they come.
        noise: Standard deviation, in grey levels, up to which the augmentation adds Gaussian noise.
        class_weight: ``"balanced"`` weights each class by n / (classes x n_class), ``"none"`` does not.
        sensitivity: Share of the positive validation images that the operating threshold must catch; ``None``: the
            threshold with the largest sensitivity + specificity.
        views: Augmented views of each image whose frozen features are computed; epoch e trains on view e mod ``views``.
            Without augmentation there is one.
        cache_gb: Most gigabytes of disk for these features; where they need more, and with 0, the frozen layers are
            computed in every epoch.
        cache: Folder in which the features stay for other runs; ``None``: in the run's folder, until it is finished.
        frozen_precision: Arithmetic of the frozen layers while training: ``"bfloat16"``, ``"float32"``, or ``"auto"``,
            which takes bfloat16 on processors that have instructions for it. What is exported is float32.
        training_precision: As ``frozen_precision``, for the steps that train; weights, their updates and validation
            stay float32.
        finetune_epochs: Passes after ``epochs`` in which more layers are trained, with patience of their own.
        finetune_from: Freeze point of the backbone after which layers are trained then.
        finetune_learning_rate: As ``learning_rate``, for these passes.
        seed: Of initial weights, batch order, augmentation and dropout.
    """

    backbone: str = "vgg16"
    epochs: int = field(default=30, metadata={"at_least": 1})
    learning_rate: float | None = field(default=None, metadata={"below": math.inf, "above": 0})
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = field(default=0.1, metadata={"at_least": 0, "below": math.inf})
    label_smoothing: float = field(default=0.0, metadata={"at_least": 0, "below": 1})
    keep: Literal["best", "last"] | None = None
    patience: int = field(default=10, metadata={"at_least": 1})
    augmentation: bool | None = None
    noise: float = field(default=0.0, metadata={"at_least": 0, "at_most": 255})
    class_weight: Literal["balanced", "none"] = "balanced"
    sensitivity: float | None = field(default=None, metadata={"above": 0, "at_most": 1})
    views: int = field(default=8, metadata={"at_least": 1, "at_most": 1000})
    cache_gb: float = field(default=4.0, metadata={"at_least": 0, "below": math.inf})
    cache: str | None = None
    frozen_precision: Literal["auto", "bfloat16", "float32"] = "auto"
    training_precision: Literal["auto", "bfloat16", "float32"] = "auto"
    finetune_epochs: int = field(default=0, metadata={"at_least": 0})
    finetune_from: str | None = None
    finetune_learning_rate: float = field(default=1e-5, metadata={"below": math.inf, "above": 0})

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.finetune_epochs > 0) != (self.finetune_from is not None):
            raise ConfigError(
                "options 'finetune_epochs' and 'finetune_from' go together. "
                f"Got finetune_epochs={self.finetune_epochs}, finetune_from={self.finetune_from!r}."
            )


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig(_Config):
    """How a generator is trained.

    Attributes:
        generator: Name of a generator plugin.
        options: Options of the plugin.
        image_size: Height and width of the images, pixels.
        channels: 1 or 3; ``None``: as the data.
        batch_size: Real images a step, at least 2.
        steps: Training steps, at most.
        minutes: Training time after which it ends before ``steps``, at the next step; ``None``: no limit.
        sample_every: Steps between two grids of images (and between two checkpoints); 0: a twentieth of ``steps``
            or ``minutes``.
        keep: ``"best"``: the weights of the latest grid whose images' distance from the validation part could not be
            told from the smallest so far; ``"last"``: those of the last step.
        watched: Images of each class that are compared with real ones at every grid, at least 3.
        balanced: Whether the classes take turns in every batch; ``None``: as the generator's recipe wants it.
        deterministic: Use only operations that give the same bits every time, at some cost in speed: a resumed run then
            ends with the very weights of an uninterrupted one.
        tensorboard: Also write the history to ``tensorboard/`` in the run's folder.
        devices: GPUs that share every step; each takes an equal part of ``batch_size``.
        seed: Of initial weights, batch order and noise.
    """

    generator: str = "acgan"
    steps: int = field(default=2000, metadata={"at_least": 1})
    minutes: float | None = field(default=None, metadata={"above": 0, "below": math.inf})
    sample_every: int = field(default=0, metadata={"at_least": 0})
    keep: Literal["best", "last"] = "best"
    watched: int = field(default=100, metadata={"at_least": 3})
    balanced: bool | None = None
    deterministic: bool = False
    tensorboard: bool = False
    devices: int = field(default=1, metadata={"at_least": 1})


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
        ConfigError: The file is missing or not TOML, has another table, or ``reference`` holds something else.
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
    if other := [entry for entry in tables.get("reference", []) if not isinstance(entry, dict)]:
        raise ConfigError(
            f"{path}: reference must hold tables, each below a line [[reference]]. Got {other[0]!r} in its place."
        )
    return known | tables
