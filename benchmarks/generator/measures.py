"""What the study measures of generated images."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np

from medsynth.metrics import kernel_distance, manifold_metrics
from medsynth.metrics.intervals import wilson

SIZE = 96
LAST = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3")


def vgg16_features(images: np.ndarray, weights: str | None) -> np.ndarray:
    """Mean over the places of the last convolution of each of VGG16's five blocks, square-rooted; (n, 1472).

    Args:
        images: uint8 (n, h, w, 1 or 3); brought to 96 pixels by Pillow's bilinear filter.
        weights: VGG16's ImageNet weights without its top; None: random ones, always the same. Naeem et al. 2020 (arXiv
            2002.09797) measure in a random network what is far from ImageNet; here it is also the network that no
            generator has met.
    """
    import keras
    import tensorflow as tf
    from PIL import Image

    keras.utils.set_random_seed(0)
    network = keras.applications.VGG16(include_top=False, weights=weights, input_shape=(SIZE, SIZE, 3))
    ends = [network.get_layer(name).output for name in LAST]
    trunk = keras.Model(network.inputs[0], ends)

    @tf.function(reduce_retracing=True)
    def answer(batch: tf.Tensor) -> tf.Tensor:
        colour = batch[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
        return tf.concat([tf.sqrt(tf.reduce_mean(end, (1, 2))) for end in trunk(colour, training=False)], 1)

    def enlarged(image: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
        return np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.float32)

    chunks = [images[start : start + 32] for start in range(0, len(images), 32)]
    return np.concatenate([answer(np.stack([enlarged(image) for image in chunk])).numpy() for chunk in chunks])


def distances(every: np.ndarray, real: np.ndarray, made: np.ndarray) -> dict[str, list[float]]:
    """Precision, recall, density, coverage (k = 5) and KID with intervals.

    Features are standardised on ``every`` real training image; channels that hardly ever answer to one (standard
    deviation below a hundredth of the median) are left out, as a single image could outweigh all others there.
    """
    mean, scale = every.mean(0), every.std(0)
    live = scale > 0.01 * np.median(scale)
    real, made = ((rows[:, live] - mean[live]) / scale[live] for rows in (real, made))
    found = manifold_metrics(real, made, k=5)
    told = {name: getattr(found, name) for name in ("precision", "recall", "density", "coverage")}
    told["kid"] = kernel_distance(real, made)
    return {name: [estimate.value, estimate.low, estimate.high] for name, estimate in told.items()}


def checkerboard(images: np.ndarray) -> float:
    """Share of the spectrum's power at the highest frequencies: the mean of the last eighth over both axes' ends.

    Mean power where either frequency is above 7/8 of the highest, over the mean power of the ring before it (5/8 to
    7/8). Real images fall off towards the end, so that they have less than 1; a checkerboard or stripes of one pixel
    raise it.
    """
    grey = images[..., 0].astype(np.float64)
    grey = grey - grey.mean((1, 2), keepdims=True)
    window = np.hanning(grey.shape[1])[:, None] * np.hanning(grey.shape[2])[None]
    power = (np.abs(np.fft.fft2(grey * window)) ** 2).mean(0)
    rows, columns = (2 * np.abs(np.fft.fftfreq(side)) for side in grey.shape[1:])
    highest = np.maximum(rows[:, None], columns[None])
    return float(power[highest > 7 / 8].mean() / power[(highest > 5 / 8) & (highest <= 7 / 8)].mean())


def similarity(images: np.ndarray, labels: np.ndarray, pairs: int = 500) -> dict[str, list[float]]:
    """Mean MS-SSIM of random pairs of one class with its standard error: high is little variety (Odena et al. 2017)."""
    ms_ssim = _similarity_module().ms_ssim
    rng, told = np.random.default_rng(0), {}
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        drawn = np.stack([rng.choice(rows, 2, replace=False) for _ in range(pairs)])
        found = ms_ssim(images[drawn[:, 0]], images[drawn[:, 1]])
        told[str(label)] = [float(found.mean()), float(found.std(ddof=1) / pairs**0.5)]
    return told


def _similarity_module() -> Any:
    """From the plugin package beside us, installed or not."""
    name, root = "medsynth_ms_ssim.similarity", Path(__file__).resolve().parents[2]
    if importlib.util.find_spec("medsynth_ms_ssim") is None:
        sys.path.insert(0, str(root / "plugins" / "medsynth-ms-ssim" / "src"))
    return importlib.import_module(name)


def area(labels: np.ndarray, scores: np.ndarray, resamples: int = 1000) -> list[float]:
    """AUC with the 2.5 and 97.5 percentiles of a bootstrap over the rows."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    picks = (rng.integers(0, len(labels), len(labels)) for _ in range(resamples))
    found = [roc_auc_score(labels[rows], scores[rows]) for rows in picks if 0 < labels[rows].mean() < 1]
    return [float(roc_auc_score(labels, scores)), *(float(each) for each in np.percentile(found, [2.5, 97.5]))]


def share(right: np.ndarray) -> list[float]:
    """Share with Wilson's interval."""
    found = wilson(np.asarray(right, bool))
    return [found.value, found.low, found.high]
