"""Every check of generators passes a sound one and finds the fault that it is there for."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from medsynth.plugins import Generator
from medsynth.testing import generator

_builds = itertools.count(1)


class Pair(keras.Model):
    """A generator and a critic, trained towards nothing in particular."""

    def __init__(self, generator, critic, *, trains):
        super().__init__()
        self.generator, self.critic, self.trains = generator, critic, trains
        self.built = True

    def train_step(self, data):
        images, labels = data
        noise = keras.random.normal((ops.shape(images)[0], 5))
        with tf.GradientTape(persistent=True) as tape:
            loss = ops.mean(self.critic(self.generator([noise, labels])) ** 2)
        for part in self.trains:
            weights = getattr(self, part).trainable_variables
            for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
                weight.assign_sub(0.1 * tf.convert_to_tensor(gradient))
        return {"loss": loss}


class Sound(Generator):
    """A generator without a fault; the others change one thing each."""

    name = "gan"
    trained_parts = ("generator", "critic")
    trains = trained_parts

    def build(self, image, num_classes):
        noise, label = keras.Input((5,), name="noise"), keras.Input((), dtype="int64", name="label")
        x = self.mix(noise, layers.Embedding(num_classes, 5, "glorot_uniform")(label))
        x = layers.Dense(image.height * image.width * image.channels, activation="sigmoid")(x)
        network = keras.Model([noise, label], ops.reshape(x, (-1, *image.shape)))
        inputs = keras.Input(image.shape)
        pooled = layers.GlobalAveragePooling2D()(inputs)
        pair = Pair(network, keras.Model(inputs, layers.Dense(1, bias_initializer="ones")(pooled)), trains=self.trains)
        pair.compile()
        return pair

    def mix(self, noise, embedded):
        return noise + embedded

    def sampler(self, trained):
        noise, label = keras.Input((5,), name="noise"), keras.Input((), dtype="int64", name="label")
        return keras.Model([noise, label], self.grey(trained.generator([noise, label])))

    def grey(self, x):
        return ops.cast(ops.round(x * 255.0), "uint8")


class NotCompiled(Sound):
    def build(self, image, num_classes):
        pair = super().build(image, num_classes)
        return Pair(pair.generator, pair.critic, trains=())


class MisnamedPart(Sound):
    trained_parts = ("generator", "discriminator")


class FloatImages(Sound):
    def grey(self, x):
        return x


class Blank(Sound):
    def grey(self, x):
        return ops.cast(x * 0.0, "uint8")


class NarrowLabel(Sound):
    def sampler(self, trained):
        noise, label = keras.Input((5,), name="noise"), keras.Input((), dtype="int32", name="label")
        return keras.Model([noise, label], self.grey(trained.generator([noise, label])))


class Unseeded(Sound):
    def mix(self, noise, embedded):
        seeded = keras.initializers.RandomNormal(seed=next(_builds))
        return layers.Dense(5, kernel_initializer=seeded)(noise + embedded)


class Unconditional(Sound):
    def mix(self, noise, embedded):
        return noise + 0.0 * embedded


class Constant(Sound):
    def mix(self, noise, embedded):
        return 0.0 * noise + embedded


class NoiseOfItsOwn(layers.Layer):
    def __init__(self):
        super().__init__()
        self.seed = keras.random.SeedGenerator(1)

    def call(self, x):
        return x * keras.random.uniform(ops.shape(x), seed=self.seed)


class Drawing(Sound):
    def grey(self, x):
        return super().grey(NoiseOfItsOwn()(x))


class BatchMean(Sound):
    def mix(self, noise, embedded):
        return noise - ops.mean(noise, axis=0, keepdims=True) + embedded


class TwoFaced(layers.Layer):
    """Computes another function in a graph than eagerly."""

    def call(self, x):
        return x if tf.executing_eagerly() else 0.5 * x


class Converted(Sound):
    def grey(self, x):
        return super().grey(TwoFaced()(x))


class HalfTrained(Sound):
    trains = ("generator",)


class HiddenConstant(Sound):
    def mix(self, noise, embedded):
        return (noise + embedded) * np.float32(next(_builds))


FAULTS = [
    (NotCompiled, "parts_and_sampler", "built and compiled"),
    (MisnamedPart, "parts_and_sampler", "model.discriminator of trained_parts"),
    (FloatImages, "parts_and_sampler", "Got float32"),
    (Blank, "parts_and_sampler", "must not be blank"),
    (NarrowLabel, "parts_and_sampler", r"\('label', 'int64', 1\)"),
    (Unseeded, "same_seed_same_weights", "Arrays are not equal"),
    (Unconditional, "label_matters", "labels 0 and 1 must give different images"),
    (Constant, "noise_matters", "must give different images"),
    (Drawing, "sampler_is_deterministic", "Arrays are not equal"),
    (BatchMean, "sampler_is_deterministic", "Not equal to tolerance"),
    (Converted, "onnx_equals_keras", "Not equal to tolerance"),
    (HalfTrained, "training_step_moves_every_part", "must move the weights of model.critic"),
    (HiddenConstant, "weights_survive_saving", "Not equal to tolerance"),
]


@pytest.mark.parametrize("check", generator.CHECKS, ids=lambda check: check.__name__)
def test_a_sound_generator_passes(subject_of, check):
    check(subject_of("generator", Sound))


@pytest.mark.parametrize(("cls", "name", "message"), FAULTS, ids=lambda each: getattr(each, "__name__", None))
def test_a_fault_is_found(subject_of, cls, name, message):
    with pytest.raises(AssertionError, match=message):
        getattr(generator, f"check_{name}")(subject_of("generator", cls))


def test_every_check_finds_a_fault():
    assert {f"check_{name}" for _, name, _ in FAULTS} == {check.__name__ for check in generator.CHECKS}
