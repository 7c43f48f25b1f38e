"""A network trained anew on whatever images it is given, always with the same number of steps.

For the question whether generated images help (:mod:`medsynth.evaluate.learners`). Nothing is watched or augmented:
the images alone are compared.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from medsynth.config import ClassifierConfig
from medsynth.errors import ConfigError
from medsynth.plugins import registry
from medsynth.train.batches import balanced_batches, step_batches
from medsynth.train.calibrate import softmax
from medsynth.train.fitting import answerer
from medsynth.train.freeze import cut_at_frozen, train_after
from medsynth.train.precision import precision, wants_bfloat16
from medsynth.train.stages import StagePlan, plan_stages
from medsynth.train.step import build_optimizer, compile_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medsynth.images import ImageSpec

__all__ = ["Retrainer", "retrainer"]

_MEANINGLESS = frozenset(
    {"augmentation", "cache", "cache_gb", "channels", "image_size", "keep", "noise", "patience", "sensitivity", "views"}
)
"""Settings of a training that is watched, augmented or of another size."""

# Every training traces its own network; TensorFlow takes that for a mistake, and says so each time.
tf.get_logger().addFilter(lambda record: "triggered tf.function retracing" not in record.getMessage())


@dataclass(frozen=True, kw_only=True)
class Retrainer:
    """Trains one backbone with one recipe, again and again.

    Attributes:
        config: The recipe. Its epochs are passes over ``images`` images; all training takes as many steps, and the last
            weights count. Augmentation, views, patience and threshold have no meaning here.
        image: What the network takes.
        classes: How many.
        images: Real training images.
    """

    config: ClassifierConfig
    image: ImageSpec
    classes: int
    images: int

    @property
    def description(self) -> str:
        """For the report; numbers are compared only where it is the same, so it tells one recipe from another."""
        size, steps = f"{self.image.height} x {self.image.width}", sum(map(self._steps, plan_stages(self.config)))
        recipe = hashlib.sha256(json.dumps(self.config.to_dict(), sort_keys=True).encode()).hexdigest()[:8]
        return f"{self.config.backbone} at {size}, {steps:,} steps of {self.config.batch_size} images, recipe {recipe}"

    def __call__(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], seed: int
    ) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
        """Train from the backbone's first weights.

        Args:
            images: uint8 (n, height, width, channels).
            labels: Class index of each, (n,), every class among them.
            seed: Added to that of the recipe: of first weights, dropout and the order of the images.

        Returns:
            From images to probabilities (m, classes).
        """
        config = self.config
        keras.utils.set_random_seed((config.seed + seed) % 2**32)
        backbone = registry().create("backbone", config.backbone, config.options)
        model = backbone.build(self.image, self.classes)
        points, pretrained = backbone.freeze_points(model), getattr(backbone, "weights", "none") != "none"
        for plan in plan_stages(config):
            if plan.unfreeze is not None:
                train_after(model, points, plan.unfreeze)
            cut = cut_at_frozen(model, points)
            inputs: NDArray[Any] = images if cut is None else answerer(cut.trunk)(images, config.batch_size)
            network = keras.Model(model.inputs[0], model.output["logits"]) if cut is None else cut.rest
            rate = plan.rate(pretrained=pretrained, only_head=cut is not None and cut.point == points[-1])
            self._fit(network, inputs, labels, seed, rate, self._steps(plan))
        answer = answerer(keras.Model(model.inputs[0], model.output["logits"]))
        return lambda others: softmax(answer(others, config.batch_size))

    def _steps(self, plan: StagePlan) -> int:
        return (plan.last - plan.first) * math.ceil(self.images / self.config.batch_size)

    def _fit(
        self,
        network: keras.Model,
        inputs: NDArray[Any],
        labels: NDArray[np.int64],
        seed: int,
        rate: float,
        steps: int,
    ) -> None:
        config = self.config
        if config.class_weight == "balanced":
            batches = balanced_batches(labels, self.classes, config.batch_size, config.seed + seed, 0)
        else:
            batches = step_batches(len(labels), config.batch_size, config.seed + seed, 0)

        step = compile_step(network, build_optimizer(config, rate, steps), config.label_smoothing)
        with precision(wants_bfloat16(config.training_precision)):
            for rows in itertools.islice(batches, steps):
                step(inputs[rows], labels[rows], np.ones(len(rows), np.float32))


def retrainer(
    image: ImageSpec, *, classes: int, images: int, training: Mapping[str, Any], **settings: Any
) -> Retrainer:
    """What ``retrain`` of :func:`medsynth.evaluate.evaluate_generator` takes: the recipe of a classifier, again.

    Args:
        image: Of the generated images (:attr:`medsynth.infer.Sampler.image`).
        classes: How many.
        images: Real training images, which say how many steps an epoch has.
        training: The recipe, as the metadata of a classifier hold it (:attr:`medsynth.artifact.Metadata.training`).
        **settings: Fields of :class:`medsynth.config.ClassifierConfig` and options of the backbone, instead of the
            recipe's. With another backbone the recipe's options are left out.

    Raises:
        ConfigError: A setting has a value it cannot have or no meaning here, the recipe's weights came from a file that
            is not given, or the backbone cannot be built for such images.
        UnknownPluginError: There is no such backbone.
    """
    if unused := sorted(_MEANINGLESS & set(settings)):
        raise ConfigError(
            f"option '{unused[0]}' has no meaning where networks are trained anew: images are as the generator makes "
            "them, not augmented, and the last weights count. Leave it out."
        )
    names = ClassifierConfig.field_names() | {"options"}
    recipe = {name: value for name, value in training.items() if name in names}
    if settings.get("backbone", recipe.get("backbone")) != recipe.get("backbone"):
        recipe = {key: value for key, value in recipe.items() if key != "options" and not key.startswith("finetune")}
    weights = recipe.get("options", {}).get("weights", "none")
    if weights not in {"none", "imagenet"} and "weights" not in settings:
        raise ConfigError(f"the classifier began with the weights of '{weights}': give that file, -O weights=FILE.")
    config = ClassifierConfig.from_settings({**recipe, **settings})
    # Built once for its errors: they are wanted now, and not in each row of a report.
    backbone = registry().create("backbone", config.backbone, config.options)
    model = backbone.build(image, classes)
    if config.finetune_from is not None:
        train_after(model, backbone.freeze_points(model), config.finetune_from)
    return Retrainer(config=config, image=image, classes=classes, images=images)
