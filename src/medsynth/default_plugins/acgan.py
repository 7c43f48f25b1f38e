"""The generator of the reports: AC-GAN (Odena, Olah and Shlens 2017, arXiv 1610.09585)."""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import layers, ops

from medsynth.default_plugins.layers import UpsampleConv2D
from medsynth.errors import ConfigError
from medsynth.plugins import Generator, ImageSpec

__all__ = ["ACGAN", "ACGANModel"]


class ACGAN(Generator):
    """AC-GAN: a discriminator that also names the class, and a generator that must satisfy both heads.

    Args:
        recipe: ``"classic"``: the networks and losses of the reports.
        latent: Length of the noise vector.
        learning_rate: Of the generator's Adam optimizer.
        discriminator_learning_rate: Of the discriminator's; 0: the same.
        beta_1: Of both Adam optimizers.
        average: Decay of the exponential moving average of the generator's weights that is sampled and exported; 0
            exports the last weights, as the reports did.
    """

    name = "acgan"
    trained_parts = ("generator", "discriminator")

    def __init__(
        self,
        *,
        recipe: Literal["classic"] = "classic",
        latent: int = 100,
        learning_rate: float = 2e-4,
        discriminator_learning_rate: float = 0.0,
        beta_1: float = 0.5,
        average: float = 0.0,
    ) -> None:
        if recipe != "classic":
            raise ConfigError(f"acgan: option 'recipe' must be 'classic'. Got '{recipe}'.")
        if latent < 1:
            raise ConfigError(f"acgan: option 'latent' must be at least 1. Got {latent}.")
        if not 0 < learning_rate < math.inf:
            raise ConfigError(f"acgan: option 'learning_rate' must be above 0 and finite. Got {learning_rate}.")
        if not 0 <= discriminator_learning_rate < math.inf:
            raise ConfigError(
                "acgan: option 'discriminator_learning_rate' must be at least 0 and finite. "
                f"Got {discriminator_learning_rate}."
            )
        if not 0 <= beta_1 < 1:
            raise ConfigError(f"acgan: option 'beta_1' must be at least 0 and below 1. Got {beta_1}.")
        if not 0 <= average < 1:
            raise ConfigError(f"acgan: option 'average' must be at least 0 and below 1. Got {average}.")
        self.recipe = recipe
        self.latent = latent
        self.learning_rate = learning_rate
        self.discriminator_learning_rate = discriminator_learning_rate or learning_rate
        self.beta_1 = beta_1
        self.average = average

    def build(self, image: ImageSpec, num_classes: int) -> ACGANModel:
        """Build both networks and compile them with their optimizers."""
        if image.height % 4 or image.width % 4 or min(image.height, image.width) < 16:
            raise ConfigError(
                "acgan: image height and width must be multiples of 4 and at least 16 (the generator doubles twice). "
                f"Got {image.height}x{image.width}; set image_size."
            )
        model = ACGANModel(
            generator=classic_generator(image, num_classes, self.latent),
            discriminator=classic_discriminator(image, num_classes),
            averaged=classic_generator(image, num_classes, self.latent) if self.average else None,
            average=self.average,
        )
        model.compile(
            optimizer=keras.optimizers.Adam(self.learning_rate, beta_1=self.beta_1),
            discriminator_optimizer=keras.optimizers.Adam(self.discriminator_learning_rate, beta_1=self.beta_1),
        )
        return model

    def sampler(self, trained: ACGANModel) -> keras.Model:
        """The generator, its tanh mapped to grey levels 0 to 255."""
        noise = keras.Input((self.latent,), dtype="float32", name="noise")
        label = keras.Input((), dtype="int64", name="label")
        generator = trained.generator if trained.averaged is None else trained.averaged
        grey = ops.clip(ops.round((generator([noise, label]) + 1.0) * 127.5), 0.0, 255.0)
        return keras.Model([noise, label], ops.cast(grey, "uint8"), name="sampler")


class ACGANModel(keras.Model):
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
            for slow, fast in zip(self.averaged.variables, self.generator.variables, strict=True):
                slow.assign(self.average * slow + (1.0 - self.average) * fast)
        return {
            "discriminator_loss": discriminator_loss,
            "generator_loss": generator_loss,
            "real_accuracy": _mean(real_validity > 0),
            "fake_accuracy": _mean(fake_validity < 0),
            "class_accuracy": _mean(ops.equal(ops.argmax(real_class, axis=-1), ops.cast(labels, "int32"))),
        }


def classic_generator(image: ImageSpec, num_classes: int, latent: int) -> keras.Model:
    """(noise, label) to images in [-1, 1]: dense to 128 maps at a quarter of the size, twice doubled."""
    noise = keras.Input((latent,), dtype="float32", name="noise")
    label = keras.Input((), dtype="int64", name="label")
    x = ops.multiply(noise, layers.Embedding(num_classes, latent)(label))
    height, width = image.height // 4, image.width // 4
    x = layers.Dense(128 * height * width, activation="relu")(x)
    x = ops.reshape(x, (-1, height, width, 128))
    x = layers.BatchNormalization(momentum=0.8)(x)
    for filters in (128, 64):
        x = layers.Activation("relu")(UpsampleConv2D(filters)(x))
        x = layers.BatchNormalization(momentum=0.8)(x)
    x = layers.Conv2D(image.channels, 3, padding="same", activation="tanh")(x)
    return keras.Model([noise, label], x, name="generator")


def classic_discriminator(image: ImageSpec, num_classes: int) -> keras.Model:
    """Images in [-1, 1] to the logits of validity (batch, 1) and of the class (batch, num_classes).

    The reports' sigmoid and softmax are inside the losses, where they are numerically safe.
    """
    x = inputs = keras.Input(image.shape, name="images")
    for filters, strides, normalised in ((16, 2, False), (32, 2, True), (64, 2, True), (128, 1, False)):
        x = layers.Conv2D(filters, 3, strides=strides, padding="same")(x)
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
