"""From the folder of a run back to the trained network, without running any code that the folder brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from medsynth.plugins import registry
from medsynth.plugins.options import describe_options
from medsynth.train.checkpoint import load_variables, model_variables

if TYPE_CHECKING:
    import keras

    from medsynth.train.run import Run

__all__ = ["rebuild_classifier", "rebuild_sampler"]


def rebuild_classifier(run: Run) -> keras.Model:
    """The backbone with the weights of its best epoch.

    Raises:
        ArtifactError: ``weights.npz`` is missing, damaged or of another network.
        PluginError: The plugin is not installed any more.
    """
    backbone = registry().create("backbone", run.plugin["name"], _untrained_options("backbone", run))
    model = backbone.build(run.image, len(run.classes))
    load_variables(run.weights, {"model": model_variables(model)})
    return model


def rebuild_sampler(run: Run) -> keras.Model:
    """The sampler of the trained generator.

    Raises:
        ArtifactError: ``weights.npz`` is missing, damaged or of another network.
        PluginError: The plugin is not installed any more.
    """
    plugin = registry().create("generator", run.plugin["name"], _untrained_options("generator", run))
    model = plugin.build(run.image, len(run.classes))
    load_variables(run.weights, {"model": model_variables(model)})
    return plugin.sampler(model)


def _untrained_options(kind: Literal["backbone", "generator"], run: Run) -> dict[str, Any]:
    """The same network, but its first weights need no file and no download: they are about to be replaced."""
    options = dict(run.config["options"])
    if "weights" in {option.name for option in describe_options(registry().get(kind, run.plugin["name"]))}:
        options["weights"] = "none"
    return options
