"""The reports' training loop in plain Keras against medsynth's fused step: same networks, size and batch, in turns.

python benchmarks/generator/race.py --out benchmarks/results/generator/race.json

The loop as the reports wrote it: sigmoid and softmax heads, ``UpSampling2D`` before each convolution, and in each step
three calls of ``train_on_batch`` (discriminator on real, discriminator on generated, both networks as one), with
``trainable`` switched before each, so that, unlike in the reports under Keras 3, both networks are trained. Images are
random: the arithmetic is the same.

TensorFlow takes oneDNN's kernels or not once for a process. The loop runs in one as it comes, and beside medsynth's
steps in another with oneDNN, as medsynth has it; on processors with VNNI the two are alike.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "classifier"))

import keras
import numpy as np
import tensorflow as tf
from common import machine
from keras import layers

from medsynth.default_plugins.acgan import ACGAN
from medsynth.images import ImageSpec

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

LATENT, CLASSES = 100, 2
AS_IT_COMES = "three Keras calls"


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


def contestants(size: int, batch: int) -> dict[str, Callable[[], tuple[Callable[[], None], Any]]]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, size, size, 1), dtype=np.uint8)
    labels = np.arange(batch) % CLASSES
    return {
        AS_IT_COMES: lambda: three_calls(size, batch, images, labels),
        "three Keras calls, oneDNN": lambda: three_calls(size, batch, images, labels),
        "classic, float32": lambda: fused(size, images, labels, recipe="classic"),
        "classic, bfloat16": lambda: fused(size, images, labels, recipe="classic", precision="bfloat16"),
        "modern (auto)": lambda: fused(size, images, labels, recipe="modern"),
    }


def serve(pipe: Connection, size: int, batch: int, names: list[str]) -> None:
    """In a process of its own: says what the contestants train, then the seconds of the steps that are asked for."""
    keras.utils.set_random_seed(0)
    building = contestants(size, batch)
    mine = {name: building[name]() for name in names}
    for step, _networks in mine.values():
        step()
    pipe.send({name: moves(*contestant) for name, contestant in mine.items()})
    with contextlib.suppress(EOFError):  # The other end is done.
        while True:
            name, steps = pipe.recv()
            began = time.perf_counter()
            for _ in range(steps):
                mine[name][0]()
            pipe.send((time.perf_counter() - began) / steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5, help="of each contestant in each round")
    given = parser.parse_args()
    ours = [name for name in contestants(given.size, given.batch) if name != AS_IT_COMES]
    pipes, trained = {}, {}
    spawn = multiprocessing.get_context("spawn")
    for names, environment in (([AS_IT_COMES], {}), (ours, {"TF_ENABLE_ONEDNN_OPTS": "1"})):
        pipe, far = spawn.Pipe()
        os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)
        os.environ.update(environment)
        spawn.Process(target=serve, args=(far, given.size, given.batch, names), daemon=True).start()
        far.close()  # So that the end of the other process is noticed.
        trained |= pipe.recv()
        pipes |= dict.fromkeys(names, pipe)
    seconds: dict[str, list[float]] = {name: [] for name in pipes}
    for _ in range(given.rounds):
        for name, pipe in pipes.items():
            pipe.send((name, given.steps))
            seconds[name].append(pipe.recv())
    slowest = seconds[AS_IT_COMES]
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
