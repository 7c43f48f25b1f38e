"""EfficientNetV2 (Tan and Le 2021, arXiv 2104.00298), as Keras publishes it."""

import re
from pathlib import Path
from typing import Literal

import keras
from keras import layers, ops

from medsynth.plugins import Backbone, ConfigError, ImageSpec

_STAGES = 6
_STAGE_OF_LAYER = re.compile(r"block(\d)[a-z]_")


class EfficientNetV2(Backbone):
    """EfficientNetV2 without its top, global average pooling, and one dense layer.

    With pretrained weights, batch normalisation keeps its statistics and scales also in the stages that are trained: a
    few hundred images would replace the statistics of a million.

    Args:
        variant: ``"b0"`` (5.9 million parameters) to ``"b3"`` (12.9 million).
        weights: ``"imagenet"`` (Keras downloads them on first use), ``"none"`` (random), or a ``.weights.h5`` file that
            Keras wrote of the network without its top.
        stages: How many of the six stages are used, 1 to 6; with fewer, the last convolution of the paper is left out
            too. Fewer are quicker, and look at texture more than at objects.
        trainable_stages: How many of these are trained, from the last; the others keep their weights. The convolution
            after stage 6 counts as part of it. By default none with pretrained weights, else all.
        dropout: Rate before the dense layer, at least 0 and below 1.
    """

    name = "efficientnetv2"

    def __init__(
        self,
        *,
        variant: Literal["b0", "b1", "b2", "b3"] = "b0",
        weights: str = "imagenet",
        stages: int = _STAGES,
        trainable_stages: int | None = None,
        dropout: float = 0.2,
    ) -> None:
        if variant not in {"b0", "b1", "b2", "b3"}:
            raise ConfigError(f"efficientnetv2: option 'variant' must be 'b0', 'b1', 'b2' or 'b3'. Got '{variant}'.")
        if not 1 <= stages <= _STAGES:
            raise ConfigError(f"efficientnetv2: option 'stages' must be 1 to {_STAGES}. Got {stages}.")
        if trainable_stages is None:
            trainable_stages = stages if weights == "none" else 0
        if not 0 <= trainable_stages <= stages:
            raise ConfigError(
                f"efficientnetv2: option 'trainable_stages' must be 0 to {stages} with stages={stages}. "
                f"Got {trainable_stages}."
            )
        if not 0 <= dropout < 1:
            raise ConfigError(f"efficientnetv2: option 'dropout' must be at least 0 and below 1. Got {dropout}.")
        self.variant = variant
        self.weights = weights
        self.stages = stages
        self.trainable_stages = trainable_stages
        self.dropout = dropout

    def build(self, image: ImageSpec, num_classes: int) -> keras.Model:
        """Build the network; grey images are replicated to three channels, and scaled inside it as Keras does."""
        if min(image.height, image.width) < 32:
            raise ConfigError(
                f"efficientnetv2: images must be at least 32x32 pixels (it halves them five times). "
                f"Got {image.height}x{image.width}; set image_size."
            )
        inputs = keras.Input(image.shape, dtype="uint8", name="images")
        x = ops.cast(inputs, "float32")
        if image.channels == 1:
            x = ops.concatenate([x, x, x], axis=-1)
        trunk = self._published(weights=None, input_tensor=x)
        if self.weights != "none":
            trunk.set_weights(self._pretrained().get_weights())
        self._freeze(trunk)
        activations = trunk.output if self.stages == _STAGES else trunk.get_layer(_ends(trunk)[self.stages]).output
        features = layers.GlobalAveragePooling2D(name="features")(activations)
        dropped = layers.Dropout(self.dropout)(features) if self.dropout else features
        logits = layers.Dense(num_classes, name="logits")(dropped)
        outputs = {
            "logits": logits,
            "probabilities": ops.softmax(logits),
            "features": features,
            "activations": activations,
        }
        return keras.Model(inputs, outputs, name=self.name)

    def freeze_points(self, model: keras.Model) -> tuple[str, ...]:
        """The end of every stage, and the pooled features."""
        return (*_ends(model).values(), "features")

    def _published(self, **arguments: object) -> keras.Model:
        family = getattr(keras.applications, f"EfficientNetV2{self.variant.upper()}")
        model: keras.Model = family(include_top=False, **arguments)
        return model

    def _pretrained(self) -> keras.Model:
        """The published network; Keras checks that the file fits it."""
        if self.weights != "imagenet" and not Path(self.weights).is_file():
            raise ConfigError(
                "efficientnetv2: weights must be 'imagenet', 'none' or a .weights.h5 file. "
                f"Got '{self.weights}', which is no file."
            )
        try:
            return self._published(weights=self.weights)
        except Exception as error:
            # Keras raises whatever the download, h5py or its own loader raise.
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            if self.weights == "imagenet":
                raise ConfigError(
                    "efficientnetv2: the ImageNet weights could not be downloaded (no network?). Download "
                    f"efficientnetv2-{self.variant}_notop.h5 elsewhere and pass --weights FILE, "
                    f"or train from random weights with --weights none. Keras said: {said}"
                ) from error
            raise ConfigError(
                f"efficientnetv2: {Path(self.weights).name} does not hold the weights of EfficientNetV2 "
                f"{self.variant.upper()} without its top in Keras' format. Keras said: {said}"
            ) from error

    def _freeze(self, trunk: keras.Model) -> None:
        first_trained = self.stages - self.trainable_stages + 1
        stage = 0  # The stem trains with stage 1.
        for layer in trunk.layers:
            found = _STAGE_OF_LAYER.match(layer.name)
            stage = int(found[1]) if found else stage
            normalised = self.weights != "none" and isinstance(layer, layers.BatchNormalization)
            layer.trainable = max(stage, 1) >= first_trained and not normalised


def _ends(model: keras.Model) -> dict[int, str]:
    """Stage -> name of its last layer, the stages of ``model`` only."""
    found = ((_STAGE_OF_LAYER.match(layer.name), layer.name) for layer in model.layers)
    return {int(match[1]): name for match, name in found if match}
