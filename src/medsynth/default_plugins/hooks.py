"""Announces the built-in plugins, through the same hooks as everybody else's."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator

from medsynth.plugins import Backbone, Generator, Metric, PluginEntry, hookimpl

_CLASSIFICATION = {
    "accuracy": ("Accuracy", "Share of correct decisions."),
    "auc": ("AUC", "Area under the ROC curve."),
    "average-precision": ("AveragePrecision", "Mean precision over recall."),
    "balanced-accuracy": ("BalancedAccuracy", "Mean recall of the classes."),
    "brier": ("Brier", "Squared error of the probabilities."),
    "calibration-error": ("CalibrationError", "How far probabilities are from frequencies."),
    "f1": ("F1", "Harmonic mean of precision and recall."),
    "log-loss": ("LogLoss", "Mean of -ln of the probability given to the true class."),
    "mcc": ("MCC", "Correlation of truth and decision (Matthews)."),
    "precision": ("Precision", "Share of the calls for a class that are right."),
    "recall": ("Recall", "Share of the images of a class that are found."),
}

_FEATURES = {
    "coverage": ("Coverage", "Share of real neighbourhoods that hold a generated image."),
    "density": ("Density", "Real neighbourhoods that hold a generated image, against what is expected."),
    "fid": ("FID", "Fréchet distance of the features; for comparison with papers."),
    "fid-infinity": ("FIDInfinity", "FID extrapolated to infinitely many images."),
    "intra-class-fid": ("IntraClassFID", "Mean FID of the classes."),
    "kid": ("KID", "Kernel distance of the features, unbiased; leads on small sets."),
    "knn-precision": ("KNNPrecision", "Share of generated images within reach of a real one."),
    "knn-recall": ("KNNRecall", "Share of real images within reach of a generated one."),
    "vendi": ("VENDI", "How many different images the generated ones amount to."),
}


def _load_vgg16() -> type[Backbone]:
    from medsynth.default_plugins.vgg16 import VGG16

    return VGG16


def _load_acgan() -> type[Generator]:
    from medsynth.default_plugins.acgan import ACGAN

    return ACGAN


def _load_metric(module: str, class_name: str) -> type[Metric]:
    cls: type[Metric] = getattr(importlib.import_module(f"medsynth.default_plugins.{module}"), class_name)
    return cls


@hookimpl
def medsynth_register_backbones() -> Iterator[PluginEntry[Backbone]]:
    """VGG16."""
    yield PluginEntry(
        name="vgg16",
        load=_load_vgg16,
        summary="VGG16 with ImageNet weights and a pooled or a fully connected head.",
    )


@hookimpl
def medsynth_register_generators() -> Iterator[PluginEntry[Generator]]:
    """AC-GAN."""
    yield PluginEntry(
        name="acgan",
        load=_load_acgan,
        summary="AC-GAN: a class-conditional generator against a discriminator that also names the class.",
    )


@hookimpl
def medsynth_register_metrics() -> Iterator[PluginEntry[Metric]]:
    """Metrics of classifiers, and distances between real and generated images."""
    for module, metrics in (("metrics", _CLASSIFICATION), ("feature_metrics", _FEATURES)):
        for name, (class_name, summary) in metrics.items():
            yield PluginEntry(name=name, load=functools.partial(_load_metric, module, class_name), summary=summary)
