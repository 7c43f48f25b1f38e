"""The modern recipe's train step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import keras
import tensorflow as tf
from keras import ops

from medsynth.default_plugins.acgan.augment import diff_augment, next_probability
from medsynth.default_plugins.acgan.average import follow
from medsynth.default_plugins.acgan.losses import (
    auxiliary,
    data_to_data,
    energy_distance,
    hinge_discriminator,
    hinge_generator,
    penalty,
    unit,
)

if TYPE_CHECKING:
    from medsynth.default_plugins.acgan.features import Features

__all__ = ["ModernModel", "Objective"]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What both networks are trained for; the options of the plugin explain each."""

    class_loss: Literal["d2d", "auxiliary"]
    class_weight: float
    energy_weight: float
    margin: float
    temperature: float
    augment: tuple[str, ...]
    augment_target: float
    r1: float
    r1_every: int
    average: float


class ModernModel(keras.Model):
    """Generator, discriminator with class proxies, and the average of the generator, which is what is exported."""

    def __init__(
        self,
        *,
        generator: keras.Model,
        averaged: keras.Model,
        discriminator: keras.Model,
        num_classes: int,
        objective: Objective,
        features: Features | None = None,
    ) -> None:
        super().__init__(name="acgan")
        self.features = features
        self.generator, self.averaged, self.discriminator = generator, averaged, discriminator
        self.objective = objective
        self.latent: int = generator.inputs[0].shape[1]
        self.proxies = self.add_weight(
            shape=(num_classes, discriminator.outputs[1].shape[1]), initializer="orthogonal", name="proxies"
        )
        adapted = objective.augment_target > 0
        self.probability = self.add_weight(
            shape=(), initializer="zeros" if adapted else "ones", trainable=False, name="augment_probability"
        )
        self.draws = keras.random.SeedGenerator()
        averaged.set_weights(generator.get_weights())
        averaged.trainable = False
        self.built = True

    def compile(self, *, optimizer: keras.Optimizer, discriminator_optimizer: keras.Optimizer) -> None:
        """Attach the optimizers; ``optimizer`` trains the generator."""
        super().compile(optimizer=optimizer, jit_compile=False)
        self.discriminator_optimizer = discriminator_optimizer
        optimizer.build(self.generator.trainable_variables)
        discriminator_optimizer.build(self._judging_weights)

    @property
    def _judging_weights(self) -> list[keras.Variable]:
        return [*self.discriminator.trainable_variables, self.proxies]

    def train_step(self, data: tuple[Any, Any]) -> dict[str, Any]:
        """One update of the discriminator, then one of the generator, on the same generated batch.

        Args:
            data: uint8 images (batch, height, width, channels) and int labels (batch,); images of the same labels are
                generated.

        Returns:
            ``discriminator_loss`` and ``generator_loss`` with their class parts, ``discriminator_class_loss`` and
            ``generator_class_loss`` for themselves; ``real_accuracy``, ``fake_accuracy`` (validity) and
            ``class_accuracy`` (real images at the proxy of their class); ``augment_probability`` after the step.
        """
        images, labels, *_ = data
        labels = ops.cast(labels, "int32")
        real = ops.cast(images, "float32") / 127.5 - 1.0
        noise = keras.random.normal((ops.shape(real)[0], self.latent), seed=self.draws)
        with tf.GradientTape() as making:
            seen, fake = self._see_both(real, self.generator([noise, labels], training=True))
            judged = self._judge_step(real, seen, tf.nest.map_structure(ops.stop_gradient, fake), labels)
            validity, embedded = self.discriminator(fake, training=True)
            class_loss = self._class_loss(embedded, labels)
            loss = hinge_generator(validity) + self.objective.class_weight * class_loss
            if self.objective.energy_weight:
                loss = loss + self.objective.energy_weight * energy_distance(_coarse(seen), _coarse(fake), labels)
        weights = self.generator.trainable_variables
        self.optimizer.apply(making.gradient(loss, weights), weights)
        follow(self.averaged, self.generator, self.objective.average, self.optimizer.iterations)
        return {**judged, "generator_loss": loss, "generator_class_loss": class_loss}

    def _judge_step(self, images: Any, real: Any, fake: Any, labels: Any) -> dict[str, Any]:
        """Update the discriminator by what it sees of the real ``images`` and of generated ones."""
        with tf.GradientTape() as judging:
            real_validity, embedded = self.discriminator(real, training=True)
            fake_validity, _ = self.discriminator(fake, training=True)
            class_loss = self._class_loss(embedded, labels)
            loss = hinge_discriminator(real_validity, fake_validity) + self.objective.class_weight * class_loss
            if self.objective.r1:
                loss = loss + self._penalty(images)
        proxies = self.proxies if self.objective.class_loss == "auxiliary" else unit(self.proxies)
        named = ops.argmax(ops.matmul(embedded, ops.transpose(proxies)), axis=-1)
        weights = self._judging_weights
        self.discriminator_optimizer.apply(judging.gradient(loss, weights), weights)
        if self.objective.augment and self.objective.augment_target:
            every = ops.shape(images)[0] * tf.distribute.get_strategy().num_replicas_in_sync
            target = self.objective.augment_target
            self.probability.assign(next_probability(self.probability, real_validity, target=target, count=every))
        return {
            "discriminator_loss": loss,
            "discriminator_class_loss": class_loss,
            "real_accuracy": ops.mean(ops.cast(real_validity > 0, "float32")),
            "fake_accuracy": ops.mean(ops.cast(fake_validity < 0, "float32")),
            "class_accuracy": ops.mean(ops.cast(ops.equal(ops.cast(named, "int32"), labels), "float32")),
            "augment_probability": ops.convert_to_tensor(self.probability),
        }

    def _see(self, images: Any) -> Any:
        """What the discriminator is given of images: randomly changed, and as frozen features where there are any."""
        changes, probability = self.objective.augment, self.probability
        return self._featured(diff_augment(images, changes, self.draws, probability=probability))

    def _see_both(self, real: Any, made: Any) -> tuple[Any, Any]:
        """The same of real and generated images; changed alike where their distances count."""
        if not self.objective.energy_weight:
            return self._see(real), self._see(made)
        both, changes = ops.concatenate([real, made]), self.objective.augment
        both = diff_augment(both, changes, self.draws, probability=self.probability, alike=True)
        real, made = ops.split(both, 2)
        # Nothing is to be learnt from the way back through the real half, and it would cost as much as the other.
        return self._featured(ops.stop_gradient(real)), self._featured(made)

    def _featured(self, images: Any) -> Any:
        return images if self.features is None else self.features(images)

    def _class_loss(self, embedded: Any, labels: Any) -> Any:
        if self.objective.class_loss == "auxiliary":
            return auxiliary(embedded, labels, self.proxies)
        return data_to_data(
            embedded, labels, self.proxies, margin=self.objective.margin, temperature=self.objective.temperature
        )

    def _penalty(self, real: Any) -> Any:
        """R1 in every ``r1_every``-th step, as many times stronger (Karras et al. 2020, arXiv 1912.04958, B)."""

        def now() -> Any:
            with tf.GradientTape() as tape:
                tape.watch(real)
                # Not as in training, because several devices cannot update a singular vector within a branch.
                validity, _ = self.discriminator(self._see(real), training=False)
                # A mean over the places, as in the loss.
                total = ops.sum(ops.mean(validity, axis=-1))
            return self.objective.r1 * self.objective.r1_every * penalty(tape.gradient(total, real))

        due = ops.equal(self.discriminator_optimizer.iterations % self.objective.r1_every, 0)
        return tf.cond(due, now, lambda: tf.constant(0.0))


def _coarse(seen: Any) -> list[Any]:
    """Means over about 4 by 4 parts of every map, (batch, values) for each level: what is where, not to the pixel."""
    rows = []
    for maps in tf.nest.flatten(seen):
        size = tuple(max(1, side // 4) for side in maps.shape[1:3])
        rows.append(ops.reshape(ops.average_pool(ops.cast(maps, "float32"), size, size), (ops.shape(maps)[0], -1)))
    return rows
