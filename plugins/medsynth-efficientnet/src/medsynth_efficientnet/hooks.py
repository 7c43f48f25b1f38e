"""Announces the plugin; the network is imported only when someone asks for it."""

from collections.abc import Iterator

from medsynth.plugins import Backbone, PluginEntry, hookimpl


def _load() -> type[Backbone]:
    from medsynth_efficientnet.net import EfficientNetV2

    return EfficientNetV2


@hookimpl
def medsynth_register_backbones() -> Iterator[PluginEntry[Backbone]]:
    """One family."""
    yield PluginEntry(
        name="efficientnetv2",
        load=_load,
        summary="EfficientNetV2 B0 to B3 of Keras, with one dense layer; small and quick in onnxruntime.",
    )
