"""The reports' recipe in plain current Keras: VGG16 with its two dense layers of 4,096, every layer trained.

256x256, batches of 8, 5 epochs, a random tenth of the training images as validation, the last weights, threshold 0.5,
as in the reports; Adam at 1e-5 is ours. Nothing of medsynth trains or predicts here.

python benchmarks/classifier/baseline.py ../shared/data/ct --weights FILE --size 256 --steps 24     time single steps
python benchmarks/classifier/baseline.py ../shared/data/ct --weights FILE --size 96 --epochs 2      train and test
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf  # noqa: TC002 - before Keras reads its settings

BATCH = 8


def build(size: int, weights: str) -> keras.Model:
    trunk = keras.applications.VGG16(include_top=False, weights=weights, input_shape=(size, size, 3))
    x = keras.layers.Flatten()(trunk.output)
    x = keras.layers.Dense(4096, activation="relu")(x)
    x = keras.layers.Dense(4096, activation="relu")(x)
    model = keras.Model(trunk.input, keras.layers.Dense(1, activation="sigmoid")(x))
    model.compile(optimizer=keras.optimizers.Adam(1e-5), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def images(folder: Path, size: int, **split: Any) -> tf.data.Dataset:
    found = keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), batch_size=BATCH, label_mode="binary", seed=0, verbose=False, **split
    )
    return found.map(lambda x, y: (keras.applications.vgg16.preprocess_input(x), y)).prefetch(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int, help="only time this many steps after three others")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    keras.utils.set_random_seed(given.seed)
    model = build(given.size, given.weights)
    split = {"validation_split": 0.1, "shuffle": True}
    train = images(given.data / "train", given.size, subset="training", **split)
    per_epoch = len(train)
    if given.steps:
        seconds = []
        for step, (x, y) in enumerate(train.take(given.steps + 3)):
            began = time.monotonic()
            model.train_on_batch(x, y)
            if step >= 3:
                seconds.append(time.monotonic() - began)
        median = float(np.median(seconds))
        told = {"steps": len(seconds), "seconds_a_step": median, "steps_an_epoch": per_epoch}
        told["seconds_an_epoch_extrapolated"] = median * per_epoch
    else:
        began = time.monotonic()
        history = model.fit(
            train,
            epochs=given.epochs,
            verbose=2,
            validation_data=images(given.data / "train", given.size, subset="validation", **split),
        ).history
        seconds_all = time.monotonic() - began
        labels, scores = [], []
        for x, y in images(given.data / "test", given.size, shuffle=False):
            labels.append(y.numpy())
            scores.append(model.predict_on_batch(x))
        y, p = np.concatenate(labels)[:, 0], np.concatenate(scores)[:, 0]
        # Folders are sorted: covid 0, non-covid 1; covid is the positive class.
        from common import test_numbers

        told = {"epochs": given.epochs, "seconds": seconds_all, "seconds_an_epoch": seconds_all / given.epochs}
        told |= {"test": test_numbers(1 - y, 1 - p, 0.5), "validation_accuracy": history["val_accuracy"]}
    from common import machine, peak_memory_gb

    print(json.dumps({"size": given.size, **told, "peak_memory_gb": peak_memory_gb(), "machine": machine()}))


if __name__ == "__main__":
    main()
