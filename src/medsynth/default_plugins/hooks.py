"""Announces the built-in plugins, through the same hooks as everybody else's."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from medsynth.plugins import Backbone, Generator, Metric, PluginEntry, hookimpl

_METRICS = {
    "accuracy": ("Accuracy", "Share of correct decisions."),
    "auc": ("AUC", "Area under the ROC curve."),
    "balanced-accuracy": ("BalancedAccuracy", "Mean recall of the classes."),
    "f1": ("F1", "Harmonic mean of precision and recall."),
    "log-loss": ("LogLoss", "Mean of -ln of the probability given to the true class."),
    "precision": ("Precision", "Share of the calls for a class that are right."),
    "recall": ("Recall", "Share of the images of a class that are found."),
}


def _load_vgg16() -> type[Backbone]:
    from medsynth.default_plugins.vgg16 import VGG16

    return VGG16


def _load_acgan() -> type[Generator]:
    from medsynth.default_plugins.acgan import ACGAN

    return ACGAN


def _load_metric(class_name: str) -> type[Metric]:
    from medsynth.default_plugins import metrics

    cls: type[Metric] = getattr(metrics, class_name)
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
    """The classification metrics."""
    for name, (class_name, summary) in _METRICS.items():
        yield PluginEntry(name=name, load=functools.partial(_load_metric, class_name), summary=summary)
