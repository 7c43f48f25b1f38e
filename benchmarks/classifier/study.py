"""Which frozen features of VGG16 carry over to other patients: the study behind the default recipe.

python benchmarks/classifier/study.py ../shared/data/ct --weights ../shared/weights/vgg16_notop.weights.h5 \
    --positive covid --work DIR --sizes 96 128 160 224 --pixels raw

Only images outside the test part are read. Each class is cut into five blocks in natural order of its file names; a
logistic regression (standardised, C = 0.01) learns from four and is scored on the fifth. The threshold of a block is
the one with the largest sensitivity + specificity on the out-of-fold scores of the other four, so that its accuracy
says whether a threshold carries over.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import medsynth
from medsynth.metrics import youden_threshold

BLOCKS = (1, 2, 3, 4, 5)
TRIED = ((2,), (3,), (4,), (5,), (2, 3), (3, 4), (2, 3, 4), (3, 4, 5))
FOLDS = 5


def normalised(images: np.ndarray, how: str) -> np.ndarray:
    """Grey images (n, h, w) as they come, with one mean and contrast each, or with equal histograms."""
    grey = images[..., 0].astype(np.float32)
    if how == "standardised":
        mean, spread = grey.mean((1, 2), keepdims=True), grey.std((1, 2), keepdims=True)
        return np.clip((grey - mean) / (spread + 1) * 70 + 115, 0, 255)
    if how == "equalised":
        counts = [np.bincount(image.ravel(), minlength=256).cumsum() for image in images[..., 0]]
        return np.stack([255 * count[image] / count[-1] for count, image in zip(counts, images[..., 0], strict=True)])
    return grey


def statistics_of_blocks(images: np.ndarray, weights: str) -> dict[int, np.ndarray]:
    """Mean and standard deviation of every channel after each block's pooling; grey images (n, h, w)."""
    import keras
    import tensorflow as tf

    network = keras.applications.VGG16(include_top=False, weights=weights, input_shape=(*images.shape[1:], 3))
    pools = keras.Model(network.inputs[0], [network.get_layer(f"block{block}_pool").output for block in BLOCKS])

    @tf.function(reduce_retracing=True)
    def answer(batch: tf.Tensor) -> list[tf.Tensor]:
        colour = tf.repeat(batch[..., None], 3, axis=-1) - np.array([103.939, 116.779, 123.68], np.float32)
        found = pools(colour, training=False)
        return [tf.concat([tf.reduce_mean(x, (1, 2)), tf.math.reduce_std(x, (1, 2))], 1) for x in found]

    chunks = [answer(images[start : start + 48].astype(np.float32)) for start in range(0, len(images), 48)]
    return {block: np.concatenate([chunk[index] for chunk in chunks]) for index, block in enumerate(BLOCKS)}


def blocks_of_names(labels: np.ndarray) -> np.ndarray:
    """Fold of each row; rows are in natural order of their names."""
    fold = np.empty(len(labels), int)
    for label in np.unique(labels):
        for index, rows in enumerate(np.array_split(np.flatnonzero(labels == label), FOLDS)):
            fold[rows] = index
    return fold


def scores(features: np.ndarray, positive: np.ndarray, fold: np.ndarray) -> tuple[float, float, float, float]:
    """Mean AUC of the folds, AUC of all out-of-fold scores, accuracy at the transferred threshold, and at 0."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = np.empty(len(positive))
    for index in range(FOLDS):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
        model.fit(features[fold != index], positive[fold != index])
        found[fold == index] = model.decision_function(features[fold == index])
    areas, transferred, at_zero = [], [], []
    for index in range(FOLDS):
        own, others = fold == index, fold != index
        areas.append(roc_auc_score(positive[own], found[own]))
        threshold = youden_threshold(positive[others], found[others])
        transferred.append(np.mean((found[own] >= threshold) == positive[own]))
        at_zero.append(np.mean((found[own] > 0) == positive[own]))
    pooled = roc_auc_score(positive, found)
    return float(np.mean(areas)), float(pooled), float(np.mean(transferred)), float(np.mean(at_zero))


def lines(given: argparse.Namespace) -> Iterator[str]:
    data = medsynth.load_dataset(given.data, positive=given.positive)
    data = data.take([row for row, part in enumerate(data.split) if part != "test"])
    given.work.mkdir(parents=True, exist_ok=True)
    for size in given.sizes:
        decoded = data.decode(data.image_spec(size, 1))
        positive = decoded.labels == data.positive_index
        for how in given.pixels:
            file = given.work / f"{size}-{how}.npz"
            if not file.exists():
                kept = statistics_of_blocks(normalised(decoded.images, how), given.weights)
                np.savez(file, **{str(block): values for block, values in kept.items()})
            with np.load(file) as kept:
                for blocks in TRIED:
                    features = np.concatenate([kept[str(block)] for block in blocks], axis=1)
                    told = scores(features, positive, blocks_of_names(decoded.labels))
                    cells = " | ".join(f"{value:.3f}" for value in told)
                    yield f"| {size} | {how} | {', '.join(map(str, blocks))} | {cells} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--positive")
    parser.add_argument("--work", type=Path, required=True, help="folder in which features stay")
    parser.add_argument("--sizes", type=int, nargs="+", default=[96, 128, 160, 224])
    choices = ["raw", "standardised", "equalised"]
    parser.add_argument("--pixels", choices=choices, nargs="+", default=["raw"])
    print("| size | pixels | blocks | AUC, mean of folds | AUC, all | accuracy | accuracy at 0 |")
    print(f"|{' --- |' * 7}")
    for line in lines(parser.parse_args()):
        print(line, flush=True)


if __name__ == "__main__":
    main()
