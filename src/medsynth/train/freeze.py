"""Cut a network where its frozen part ends, so that the frozen part is computed once and not in every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from medsynth.errors import ConfigError, did_you_mean

__all__ = ["Cut", "cut_at_frozen", "train_after"]


@dataclass(frozen=True, eq=False)
class Cut:
    """A network in two parts that share its layers.

    Attributes:
        point: Name of the layer whose output is handed over.
        trunk: From images to that output; has no trainable weights.
        rest: From that output to the logits.
    """

    point: str
    trunk: keras.Model
    rest: keras.Model


def cut_at_frozen(model: keras.Model, points: Sequence[str]) -> Cut | None:
    """Cut at the deepest freeze point that has nothing to train before it.

    Args:
        model: What :meth:`medsynth.plugins.Backbone.build` returns.
        points: Its freeze points, in the order of the forward pass.

    Returns:
        ``None`` where no point qualifies: something before the first is trained, or a path leads around each.
    """
    for point in reversed(points):
        tensor = model.get_layer(point).output
        trunk = keras.Model(model.inputs[0], tensor)
        if trunk.trainable_variables or not trunk.weights:
            continue
        try:
            rest = keras.Model(tensor, model.output["logits"])
        except ValueError:  # Keras: the logits cannot be computed from this tensor alone.
            continue
        return Cut(point, trunk, rest)
    return None


def train_after(model: keras.Model, points: Sequence[str], point: str) -> None:
    """Make every layer after a freeze point trainable.

    Batch normalisation that was frozen stays as it is: a few images would replace the statistics of many.

    Raises:
        ConfigError: The network has no such freeze point.
    """
    if point not in points:
        raise ConfigError(
            f"option 'finetune_from' must be a freeze point of the backbone: {', '.join(points) or 'it has none'}. "
            f"Got '{point}'.{did_you_mean(point, points)}"
        )
    before = {id(layer) for layer in keras.Model(model.inputs[0], model.get_layer(point).output).layers}
    for layer in model.layers:
        if id(layer) not in before and not isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = True
