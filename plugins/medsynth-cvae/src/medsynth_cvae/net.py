"""Encoder, decoder and the step that trains both: Kingma and Welling 2014, arXiv 1312.6114."""

import math
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from medsynth.plugins import ConfigError, Generator, ImageSpec

_PACE = 0.1


class CVAE(Generator):
    """A conditional variational autoencoder.

    Args:
        latent: Length of the code.
        width: Maps at half of the image's size; each coarser level has twice as many, at most 8 times.
        beta: Weight of the divergence from the normal distribution, in units of the likelihood of grey levels.
        learning_rate: Of Adam.
    """

    name = "cvae"
    trained_parts = ("encoder", "decoder")

    def __init__(self, *, latent: int = 64, width: int = 32, beta: float = 1.0, learning_rate: float = 1e-3) -> None:
        if min(latent, width) < 1:
            raise ConfigError(f"cvae: options 'latent' and 'width' must be at least 1. Got {latent} and {width}.")
        if not (0 < beta < math.inf and 0 < learning_rate < math.inf):
            raise ConfigError(
                f"cvae: options 'beta' and 'learning_rate' must be above 0 and finite. Got {beta} and {learning_rate}."
            )
        self.latent, self.width, self.beta, self.learning_rate = latent, width, beta, learning_rate

    def build(self, image: ImageSpec, num_classes: int) -> keras.Model:
        """Build both networks and compile them with one optimizer."""
        levels = _levels(image)
        model = CVAEModel(
            encoder=_encoder(image, num_classes, self.latent, self.width, levels),
            decoder=_decoder(image, num_classes, self.latent, self.width, levels),
            # Where the codes of a class lie; see train_step.
            prior=keras.layers.Embedding(num_classes, self.latent, "zeros", trainable=False, name="prior"),
            beta=self.beta,
        )
        model.compile(keras.optimizers.Adam(self.learning_rate))
        return model

    def sampler(self, trained: Any) -> keras.Model:
        """The decoder on codes of the class, its mean mapped to grey levels."""
        noise = keras.Input((self.latent,), dtype="float32", name="noise")
        label = keras.Input((), dtype="int64", name="label")
        drawn = trained.decoder([trained.prior(label) + noise, label])
        grey = ops.clip(ops.round((drawn + 1.0) * 127.5), 0.0, 255.0)
        return keras.Model([noise, label], ops.cast(grey, "uint8"), name="sampler")


class CVAEModel(keras.Model):
    """Both networks, the prior and the optimizer, as attributes, so that checkpoints find them."""

    def __init__(self, *, encoder: keras.Model, decoder: keras.Model, prior: layers.Embedding, beta: float) -> None:
        super().__init__(name="cvae")
        self.encoder, self.decoder, self.prior, self.beta = encoder, decoder, prior, beta
        self.draws = keras.random.SeedGenerator()
        prior.build()
        self.built = True

    def compile(self, optimizer: keras.Optimizer) -> None:
        """One optimizer for both networks."""
        super().compile(optimizer=optimizer, jit_compile=False)
        # Built here, so that a checkpoint can be loaded before the first step.
        optimizer.build(self._weights)

    @property
    def _weights(self) -> list[keras.Variable]:
        return [*self.encoder.trainable_variables, *self.decoder.trainable_variables]

    def train_step(self, data: tuple[Any, Any]) -> dict[str, Any]:
        """One step on the evidence lower bound.

        The spread of the pixels around the decoder's mean is the batch's own, which maximises the likelihood (Rybkin et
        al. 2021, arXiv 2006.13202, equation 5), so that there is no weight between the two terms to be guessed.

        The prior of a class is N(m, 1) about the mean m of the codes of its images, which is the m that maximises the
        bound (a conditional prior as in Sohn, Lee and Yan 2015, here in closed form). The encoder sees the class in
        the image long before the decoder trusts the label; about one mean for all, what it says of the class would be
        missing from the noise that is decoded later, and images of one class would look like the other.
        """
        images, labels, *_ = data
        real = ops.cast(images, "float32") / 127.5 - 1.0
        pixels = float(real.shape[1] * real.shape[2] * real.shape[3])
        with tf.GradientTape() as tape:
            mean, log_variance = ops.split(self.encoder([real, labels], training=True), 2, axis=1)
            log_variance = ops.clip(log_variance, -10.0, 10.0)
            noise = keras.random.normal(ops.shape(mean), seed=self.draws)
            made = self.decoder([mean + ops.exp(0.5 * log_variance) * noise, labels], training=True)
            error = ops.mean(ops.square(real - made))
            reconstruction = 0.5 * pixels * ops.log(error + 1e-6)
            away = ops.square(mean - self.prior(labels))
            divergence = 0.5 * ops.mean(ops.sum(away + ops.exp(log_variance) - 1.0 - log_variance, axis=1))
            loss = reconstruction + self.beta * divergence
        weights = self._weights
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        self._follow(mean, labels)
        return {"loss": loss, "squared_error": error, "divergence": divergence}

    def _follow(self, codes: Any, labels: Any) -> None:
        """The prior of each class in the batch moves towards the mean of its codes."""
        prior = self.prior.embeddings
        member = ops.one_hot(labels, prior.shape[0], dtype="float32")
        count = ops.sum(member, axis=0)[:, None]
        found = ops.matmul(ops.transpose(member), codes) / ops.maximum(count, 1.0)
        prior.assign(prior + _PACE * ops.cast(count > 0, "float32") * (found - prior))


def _levels(image: ImageSpec) -> int:
    """How often both sides can be halved, down to 4 pixels."""
    levels, height, width = 0, image.height, image.width
    while min(height, width) >= 8 and height % 2 == 0 and width % 2 == 0:
        levels, height, width = levels + 1, height // 2, width // 2
    if levels < 2:
        raise ConfigError(
            "cvae: image height and width must be multiples of 4 and at least 16. "
            f"Got {image.height}x{image.width}; set image_size."
        )
    return levels


def _encoder(image: ImageSpec, num_classes: int, latent: int, width: int, levels: int) -> keras.Model:
    """(image, label) to mean and logarithm of the variance of the code, (batch, 2 latent)."""
    seen, label = keras.Input(image.shape), keras.Input((), dtype="int64")
    x = seen
    for level in range(levels):
        x = layers.Conv2D(width * min(8, 2**level), 4, strides=2, padding="same")(x)
        x = layers.LeakyReLU(0.2)(layers.BatchNormalization(momentum=0.9)(x))
    x = ops.concatenate([layers.Flatten()(x), ops.one_hot(label, num_classes)], axis=-1)
    return keras.Model([seen, label], layers.Dense(2 * latent, kernel_initializer="zeros")(x), name="encoder")


def _decoder(image: ImageSpec, num_classes: int, latent: int, width: int, levels: int) -> keras.Model:
    """(code, label) to the mean image in [-1, 1]."""
    code, label = keras.Input((latent,)), keras.Input((), dtype="int64")
    height, across, maps = image.height >> levels, image.width >> levels, width * min(8, 2 ** (levels - 1))
    x = ops.concatenate([code, ops.one_hot(label, num_classes)], axis=-1)
    x = layers.Reshape((height, across, maps))(layers.Dense(height * across * maps)(x))
    for level in reversed(range(levels)):
        x = layers.LeakyReLU(0.2)(layers.BatchNormalization(momentum=0.9)(x))
        # Even kernels of stride 2: every pixel is made by equally many taps.
        x = layers.Conv2DTranspose(width * min(8, 2 ** max(level - 1, 0)), 4, strides=2, padding="same")(x)
    x = layers.LeakyReLU(0.2)(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Conv2D(image.channels, 3, padding="same", activation="tanh")(x)
    return keras.Model([code, label], x, name="decoder")
