"""The smallest generator that keeps the contract: a conditional GAN of two dense networks."""

import keras
import tensorflow as tf
from keras import layers, ops

from medsynth.plugins import ConfigError, Generator, ImageSpec


class TinyGAN(Generator):
    """Two dense networks that see the class as a one-hot vector.

    Args:
        latent: Length of the noise vector.
    """

    name = "tiny-gan"
    trained_parts = ("generator", "discriminator")

    def __init__(self, *, latent: int = 16) -> None:
        if latent < 1:
            raise ConfigError(f"tiny-gan: option 'latent' must be at least 1. Got {latent}.")
        self.latent = latent

    def build(self, image: ImageSpec, num_classes: int) -> keras.Model:
        """Build both networks, and compile them with an optimizer each."""
        size = image.height * image.width * image.channels
        noise, label = keras.Input((self.latent,)), keras.Input((), dtype="int64")
        x = ops.concatenate([noise, ops.one_hot(label, num_classes)], axis=-1)
        x = layers.Dense(size, activation="tanh")(layers.Dense(64, activation="relu")(x))
        generator = keras.Model([noise, label], layers.Reshape(image.shape)(x))

        seen, label = keras.Input(image.shape), keras.Input((), dtype="int64")
        x = ops.concatenate([layers.Flatten()(seen), ops.one_hot(label, num_classes)], axis=-1)
        discriminator = keras.Model([seen, label], layers.Dense(1)(layers.Dense(64, activation="relu")(x)))

        model = TinyGANModel(generator, discriminator, self.latent)
        model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3))
        return model

    def sampler(self, trained: keras.Model) -> keras.Model:
        """The generator, its tanh mapped to grey levels; this is what is exported."""
        noise = keras.Input((self.latent,), dtype="float32", name="noise")
        label = keras.Input((), dtype="int64", name="label")
        grey = ops.round((trained.generator([noise, label]) + 1.0) * 127.5)
        return keras.Model([noise, label], ops.cast(grey, "uint8"))


class TinyGANModel(keras.Model):
    """Both networks as attributes, with both optimizers: checkpoints find them there."""

    def __init__(self, generator: keras.Model, discriminator: keras.Model, latent: int) -> None:
        super().__init__()
        self.generator, self.discriminator, self.latent = generator, discriminator, latent
        self.draws = keras.random.SeedGenerator()
        self.built = True

    def compile(self, optimizer: keras.Optimizer, discriminator_optimizer: keras.Optimizer) -> None:
        """The first optimizer trains the generator."""
        super().compile(optimizer=optimizer, jit_compile=False)
        self.discriminator_optimizer = discriminator_optimizer
        # Built here, so that a checkpoint can be loaded before the first step.
        optimizer.build(self.generator.trainable_variables)
        discriminator_optimizer.build(self.discriminator.trainable_variables)

    def train_step(self, data: tuple) -> dict:
        """One step of each network, by explicit gradients."""
        images, labels, *_ = data
        real = ops.cast(images, "float32") / 127.5 - 1.0
        noise = keras.random.normal((ops.shape(real)[0], self.latent), seed=self.draws)
        with tf.GradientTape(persistent=True) as tape:
            fake = self.generator([noise, labels], training=True)
            on_real = self.discriminator([real, labels], training=True)
            on_fake = self.discriminator([fake, labels], training=True)
            judging = ops.mean(ops.softplus(-on_real)) + ops.mean(ops.softplus(on_fake))
            making = ops.mean(ops.softplus(-on_fake))
        for loss, network, optimizer in (
            (judging, self.discriminator, self.discriminator_optimizer),
            (making, self.generator, self.optimizer),
        ):
            weights = network.trainable_variables
            optimizer.apply(tape.gradient(loss, weights), weights)
        return {"discriminator_loss": judging, "generator_loss": making}
