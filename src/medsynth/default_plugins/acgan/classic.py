"""The recipe of the reports: AC-GAN (Odena, Olah and Shlens 2017, arXiv 1610.09585), plain networks, plain losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf
from keras import layers, ops

from medsynth.default_plugins.acgan.average import follow
from medsynth.default_plugins.layers import UpsampleConv2D

if TYPE_CHECKING:
    from medsynth.images import ImageSpec

__all__ = ["ClassicModel", "classic_discriminator", "classic_generator"]


class ClassicModel(keras.Model):
    """Both networks and one train step that updates both.

    Under Keras 3 the old idiom (compile the discriminator, set ``trainable = False``, compile generator and
    discriminator as one) leaves the discriminator untrained without an error, so the gradients are taken here.
    """

    def __init__(
        self,
        *,
        generator: keras.Model,
        discriminator: keras.Model,
        averaged: keras.Model | None = None,
        average: float = 0.0,
    ) -> None:
        super().__init__(name="acgan")
        self.generator = generator
        self.discriminator = discriminator
        self.averaged = averaged
        self.average = average
        self.latent: int = generator.inputs[0].shape[1]
        self.num_classes: int = discriminator.outputs[1].shape[1]
        self.noise_seed = keras.random.SeedGenerator()
        if averaged is not None:
            averaged.set_weights(generator.get_weights())
        self.built = True

    def compile(self, *, optimizer: keras.Optimizer, discriminator_optimizer: keras.Optimizer) -> None:
        """Attach the optimizers; ``optimizer`` trains the generator."""
        # Without XLA, which is slower than oneDNN's kernels for these networks on a CPU.
        super().compile(optimizer=optimizer, jit_compile=False)
        self.discriminator_optimizer = discriminator_optimizer
        optimizer.build(self.generator.trainable_variables)
        discriminator_optimizer.build(self.discriminator.trainable_variables)

    def train_step(self, data: tuple[Any, Any]) -> dict[str, Any]:
        """One update of the discriminator, then one of the generator, on the same generated batch.

        Args:
            data: uint8 images (batch, height, width, channels) and int labels (batch,).

        Returns:
            ``discriminator_loss`` (mean of real and fake), ``generator_loss``, ``real_accuracy``, ``fake_accuracy``
            (validity), ``class_accuracy`` (of real images).
        """
        images, labels, *_ = data  # Keras may append sample weights, which have no meaning here.
        real = ops.cast(images, "float32") / 127.5 - 1.0
        count = ops.shape(real)[0]
        noise = keras.random.normal((count, self.latent), seed=self.noise_seed)
        wanted = keras.random.randint((count,), 0, self.num_classes, seed=self.noise_seed)

        with tf.GradientTape() as generator_tape:
            fake = self.generator([noise, wanted], training=True)

            with tf.GradientTape() as discriminator_tape:
                real_validity, real_class = self.discriminator(real, training=True)
                fake_validity, fake_class = self.discriminator(ops.stop_gradient(fake), training=True)
                discriminator_loss = 0.5 * (
                    _validity_loss(real_validity, 1.0)
                    + _class_loss(real_class, labels)
                    + _validity_loss(fake_validity, 0.0)
                    + _class_loss(fake_class, wanted)
                )
            weights = self.discriminator.trainable_variables
            self.discriminator_optimizer.apply(discriminator_tape.gradient(discriminator_loss, weights), weights)

            # Judged by the discriminator as it is after its update, as three separate calls would do.
            validity, classes = self.discriminator(fake, training=True)
            generator_loss = _validity_loss(validity, 1.0) + _class_loss(classes, wanted)
        weights = self.generator.trainable_variables
        self.optimizer.apply(generator_tape.gradient(generator_loss, weights), weights)

        if self.averaged is not None:
            follow(self.averaged, self.generator, self.average, self.optimizer.iterations)
        return {
            "discriminator_loss": discriminator_loss,
            "generator_loss": generator_loss,
            "real_accuracy": _mean(real_validity > 0),
            "fake_accuracy": _mean(fake_validity < 0),
            "class_accuracy": _mean(ops.equal(ops.argmax(real_class, axis=-1), ops.cast(labels, "int32"))),
        }


def classic_generator(image: ImageSpec, num_classes: int, latent: int, dtype: str = "float32") -> keras.Model:
    """(noise, label) to images in [-1, 1]: dense to 128 maps at a quarter of the size, twice doubled.

    ``dtype`` is Keras' policy of the convolutions; normalisation, image and logits are float32.
    """
    noise = keras.Input((latent,), dtype="float32", name="noise")
    label = keras.Input((), dtype="int64", name="label")
    x = ops.multiply(noise, layers.Embedding(num_classes, latent)(label))
    height, width = image.height // 4, image.width // 4
    x = layers.Dense(128 * height * width, activation="relu", dtype=dtype)(x)
    x = ops.reshape(x, (-1, height, width, 128))
    x = layers.BatchNormalization(momentum=0.8)(x)
    for filters in (128, 64):
        x = layers.Activation("relu")(UpsampleConv2D(filters, dtype=dtype)(x))
        x = layers.BatchNormalization(momentum=0.8)(x)
    x = layers.Conv2D(image.channels, 3, padding="same", activation="tanh")(x)
    return keras.Model([noise, label], x, name="generator")


def classic_discriminator(image: ImageSpec, num_classes: int, dtype: str = "float32") -> keras.Model:
    """Images in [-1, 1] to the logits of validity (batch, 1) and of the class (batch, num_classes).

    The reports' sigmoid and softmax are inside the losses, where they are numerically safe.
    """
    x = inputs = keras.Input(image.shape, name="images")
    for filters, strides, normalised in ((16, 2, False), (32, 2, True), (64, 2, True), (128, 1, False)):
        x = layers.Conv2D(filters, 3, strides=strides, padding="same", dtype=dtype)(x)
        x = layers.LeakyReLU(negative_slope=0.2)(x)
        x = layers.Dropout(0.25)(x)
        if normalised:
            x = layers.BatchNormalization(momentum=0.8)(x)
    x = ops.reshape(x, (-1, x.shape[1] * x.shape[2] * x.shape[3]))
    return keras.Model(inputs, [layers.Dense(1)(x), layers.Dense(num_classes)(x)], name="discriminator")


def _validity_loss(logits: Any, target: float) -> Any:
    return _mean(keras.losses.binary_crossentropy(ops.full_like(logits, target), logits, from_logits=True))


def _class_loss(logits: Any, labels: Any) -> Any:
    return _mean(keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True))


def _mean(values: Any) -> Any:
    return ops.mean(ops.cast(values, "float32"))
