"""The reports' training loop in plain Keras against medsynth's fused step: same networks, size and batch, in turns.

python benchmarks/generator/race.py --out benchmarks/results/generator/race.json

The loop as the reports wrote it: sigmoid and softmax heads, ``UpSampling2D`` before each convolution, and in each step
three calls of ``train_on_batch`` (discriminator on real, discriminator on generated, both networks as one), with
``trainable`` switched before each, so that, unlike in the reports under Keras 3, both networks are trained. Images are
random: the arithmetic is the same.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "classifier"))

import keras
import numpy as np
import tensorflow as tf
from common import machine
from keras import layers

from medsynth.default_plugins.acgan import ACGAN
from medsynth.images import ImageSpec

LATENT, CLASSES = 100, 2


def plain_generator(size: int) -> keras.Model:
    noise, label = keras.Input((LATENT,)), keras.Input((1,), dtype="int32")
    x = layers.multiply([noise, layers.Flatten()(layers.Embedding(CLASSES, LATENT)(label))])
    x = layers.Dense(128 * (size // 4) ** 2, activation="relu")(x)
    x = layers.BatchNormalization(momentum=0.8)(layers.Reshape((size // 4, size // 4, 128))(x))
    for filters in (128, 64):
        x = layers.Conv2D(filters, 3, padding="same")(layers.UpSampling2D()(x))
        x = layers.BatchNormalization(momentum=0.8)(layers.Activation("relu")(x))
    return keras.Model([noise, label], layers.Conv2D(1, 3, padding="same", activation="tanh")(x))


def plain_discriminator(size: int) -> keras.Model:
    x = inputs = keras.Input((size, size, 1))
    for filters, strides, normalised in ((16, 2, False), (32, 2, True), (64, 2, True), (128, 1, False)):
        x = layers.Conv2D(filters, 3, strides=strides, padding="same")(x)
        x = layers.Dropout(0.25)(layers.LeakyReLU(negative_slope=0.2)(x))
        x = layers.BatchNormalization(momentum=0.8)(x) if normalised else x
    x = layers.Flatten()(x)
    heads = [layers.Dense(1, activation="sigmoid")(x), layers.Dense(CLASSES, activation="softmax")(x)]
    return keras.Model(inputs, heads)


def three_calls(size: int, batch: int, images: np.ndarray, labels: np.ndarray) -> tuple[Callable[[], None], Any]:
    generator, discriminator = plain_generator(size), plain_discriminator(size)
    losses = ["binary_crossentropy", "sparse_categorical_crossentropy"]

    def adam() -> keras.Optimizer:
        return keras.optimizers.Adam(2e-4, 0.5)

    discriminator.compile(loss=losses, optimizer=adam(), jit_compile=False)
    noise, label = keras.Input((LATENT,)), keras.Input((1,), dtype="int32")
    discriminator.trainable = False
    combined = keras.Model([noise, label], discriminator(generator([noise, label])))
    combined.compile(loss=losses, optimizer=adam(), jit_compile=False)
    rng, real, fake = np.random.default_rng(0), np.ones((batch, 1)), np.zeros((batch, 1))
    pixels, named = images.astype(np.float32) / 127.5 - 1, labels.reshape(-1, 1)

    def step() -> None:
        codes, wanted = rng.normal(size=(batch, LATENT)).astype(np.float32), rng.integers(0, CLASSES, (batch, 1))
        made = generator.predict_on_batch([codes, wanted])
        discriminator.trainable = True
        discriminator.train_on_batch(pixels, [real, named])
        discriminator.train_on_batch(made, [fake, wanted])
        discriminator.trainable = False
        combined.train_on_batch([codes, wanted], [real, wanted])

    return step, (generator, discriminator)


def fused(size: int, images: np.ndarray, labels: np.ndarray, **options: Any) -> tuple[Callable[[], None], Any]:
    model = ACGAN(**options).build(ImageSpec(height=size, width=size, channels=1), CLASSES)
    # What Keras' fit runs: the compiled step, with the figures brought back.
    step = tf.function(lambda x, y: model.train_step((x, y)))
    return (
        lambda: [float(value) for value in step(tf.constant(images), tf.constant(labels)).values()] and None,
        (model.generator, model.discriminator),
    )


def moves(step: Callable[[], None], networks: Any) -> list[bool]:
    """Whether one step moves each network: its kernels, as statistics and seeds move in one that is not trained too."""

    def kernels() -> list[list[np.ndarray]]:
        return [[each.kernel.numpy() for each in network.layers if hasattr(each, "kernel")] for network in networks]

    before = kernels()
    step()
    return [
        any((now != then).any() for now, then in zip(new, old, strict=True))
        for new, old in zip(kernels(), before, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5, help="of each contestant in each round")
    given = parser.parse_args()
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (given.batch, given.size, given.size, 1), dtype=np.uint8)
    labels = np.arange(given.batch) % CLASSES
    contestants = {
        "three Keras calls": three_calls(given.size, given.batch, images, labels),
        "classic, float32": fused(given.size, images, labels, recipe="classic"),
        "classic, bfloat16": fused(given.size, images, labels, recipe="classic", precision="bfloat16"),
        "modern (auto)": fused(given.size, images, labels, recipe="modern"),
    }
    trained = {}
    for name, (step, networks) in contestants.items():
        step()
        trained[name] = moves(step, networks)
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(given.rounds):
        for name, (step, _networks) in contestants.items():
            began = time.perf_counter()
            for _ in range(given.steps):
                step()
            seconds[name].append((time.perf_counter() - began) / given.steps)
    slowest = seconds["three Keras calls"]
    rows = {
        name: {
            "seconds_a_step": round(statistics.median(found), 4),
            "times_faster": round(statistics.median(old / new for old, new in zip(slowest, found, strict=True)), 2),
            "times_faster_range": [
                round(pick(old / new for old, new in zip(slowest, found, strict=True)), 2) for pick in (min, max)
            ],
            "moves_generator_and_discriminator": trained[name],
        }
        for name, found in seconds.items()
    }
    result = {"size": given.size, "batch": given.batch, "rounds": given.rounds, "machine": machine(), "rows": rows}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
