"""What a plugin must be: three abstract classes and the record that announces one.

Options of a plugin are the keyword-only arguments of its constructor, each with a default. ``Backbone()`` must work.
An option called ``weights`` (``"imagenet"``, ``"none"`` or a file) says where the first weights come from; medsynth
passes ``weights="none"`` when it rebuilds a network only to fill it with trained weights.

This module imports neither Keras nor TensorFlow, so that listing plugins and computing metrics works without them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

    from medsynth.images import ImageSpec

__all__ = [
    "PLUGIN_API",
    "Backbone",
    "Defect",
    "Generator",
    "Metric",
    "MetricInput",
    "PluginEntry",
    "PluginKind",
    "Result",
]

PLUGIN_API = 1
"""Version of the contract in this module; an entry made for a higher one is refused by name."""

PluginKind: TypeAlias = Literal["backbone", "generator", "metric"]
MetricInput: TypeAlias = Literal["probabilities", "features", "images"]
Defect: TypeAlias = Literal["noise", "collapse", "copies"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginEntry(Generic[T_co]):
    """Announces one plugin; its class is imported only when someone asks for it.

    Attributes:
        name: Lower-case words joined by hyphens, ``[a-z0-9]+(-[a-z0-9]+)*``; equals the class's ``name``.
        load: Imports the class and returns it. Called at most once.
        summary: One sentence for ``medsynth plugins list``.
        api: The :data:`PLUGIN_API` that the plugin was written for.
    """

    name: str
    load: Callable[[], type[T_co]]
    summary: str
    api: int = PLUGIN_API


class Backbone(ABC):
    """A classification network.

    >>> class Stranger(Backbone):
    ...     name = "stranger-net"
    ...
    ...     def __init__(self, *, width: int = 8) -> None:
    ...         self.width = width
    ...
    ...     def build(self, image, num_classes): ...
    """

    name: ClassVar[str]

    @abstractmethod
    def build(self, image: ImageSpec, num_classes: int) -> keras.Model:
        """Build the network, uncompiled, preprocessing included.

        Args:
            image: Height, width (pixels) and channels (1 or 3) of the input.
            num_classes: At least 2.

        Returns:
            A functional model from uint8 images (batch, height, width, channels) to a dict: ``logits`` and
            ``probabilities`` (batch, num_classes), ``features`` (batch, d), all float32, and optionally
            ``activations`` (batch, h, w, c) for class-activation maps. Weights depend only on
            ``keras.utils.set_random_seed`` and the options. A row never depends on the other rows at inference.
        """

    def freeze_points(self, model: keras.Model) -> tuple[str, ...]:  # noqa: ARG002
        """Names of layers at which the trunk may be cut and its output cached; empty: no caching."""
        return ()


class Generator(ABC):
    """A class-conditional generator of images.

    ``trained_parts`` names attributes of the model that :meth:`build` returns; every one of them is a ``keras.Model``
    whose weights a train step moves. Optimizers must be attributes of the model, so that checkpoints find them.
    """

    name: ClassVar[str]
    trained_parts: ClassVar[tuple[str, ...]]
    balanced_batches: bool = False
    """Whether the classes should take turns in every batch, where the user does not say."""

    @abstractmethod
    def build(self, image: ImageSpec, num_classes: int) -> keras.Model:
        """Build the networks, built and compiled.

        Args:
            image: Height, width (pixels) and channels (1 or 3) of the images.
            num_classes: At least 2.

        Returns:
            A model whose ``train_step((images, labels))`` takes uint8 images (batch, height, width, channels) and int
            labels (batch,), updates every network in ``trained_parts`` and returns named scalar losses. It is
            compiled without AutoGraph, as in Keras' ``fit``.
        """

    @abstractmethod
    def sampler(self, trained: keras.Model) -> keras.Model:
        """The part that is exported.

        Args:
            trained: What :meth:`build` returned, trained or restored.

        Returns:
            A functional model with inputs ``noise`` float32 (batch, latent) and ``label`` int64 (batch,), and one
            output, uint8 images (batch, height, width, channels). Deterministic: the same input, the same image.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A metric's value.

    Attributes:
        value: The number.
        low: Lower end of its 95 % interval, if the metric has one.
        high: Upper end.
        per_class: Value for each class index, if the metric is defined by class.
        notes: What a reader must know of this very number, one sentence each, for example that there were few images.
    """

    value: float
    low: float | None = None
    high: float | None = None
    per_class: Mapping[int, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Metric(ABC):
    """Compares a candidate with a reference, from numpy arrays alone.

    Fed in chunks by :meth:`update`, so that it works on more than fits in memory; chunks give what the whole gives,
    and the order of rows does not matter, also where the metric samples at random.

    ``inputs`` says what the arrays are:

    * ``"probabilities"``: candidate is the classifier's (n, num_classes) float; reference is not used and may be
      empty; ``reference_labels`` are the true classes (n,).
    * ``"features"``: float (n, d) of real images (reference) and of generated ones (candidate).
    * ``"images"``: uint8 (n, h, w, c), real (reference) and generated (candidate).

    ``higher_is_better`` is ``None`` for a number that has no better side.

    ``punishes`` declares the defect of a candidate that the metric must call worse than a sound one, which the
    conformance kit tries: ``"noise"`` (unrelated rows, or predictions unrelated to the truth), ``"collapse"`` (one row
    repeated) or ``"copies"`` (the reference's own rows).
    """

    name: ClassVar[str]
    inputs: ClassVar[MetricInput]
    higher_is_better: ClassVar[bool | None]
    punishes: ClassVar[Defect] = "noise"

    @abstractmethod
    def reset(self) -> None:
        """Forget every update."""

    @abstractmethod
    def update(
        self,
        reference: NDArray[Any],
        candidate: NDArray[Any],
        *,
        reference_labels: NDArray[np.int64] | None = None,
        candidate_labels: NDArray[np.int64] | None = None,
    ) -> None:
        """Take a chunk of rows; either side may be empty.

        Args:
            reference: Rows of the reference, as ``inputs`` says.
            candidate: Rows of the candidate.
            reference_labels: Class index of each reference row, (n,).
            candidate_labels: Class index of each candidate row, (m,).
        """

    @abstractmethod
    def compute(self) -> Result:
        """The metric over all updates since the last reset.

        Raises:
            medsynth.errors.DataError: Nothing, or too little, was given.
        """
