"""Announces the plugin; the network is imported only when someone asks for it."""

from collections.abc import Iterator

from medsynth.plugins import Backbone, PluginEntry, hookimpl


def _load() -> type[Backbone]:
    from medsynth_tiny_cnn.net import TinyCNN

    return TinyCNN


@hookimpl
def medsynth_register_backbones() -> Iterator[PluginEntry[Backbone]]:
    """One network."""
    yield PluginEntry(name="tiny-cnn", load=_load, summary="Four strided convolutions; trains in seconds on a CPU.")
