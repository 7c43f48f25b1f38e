"""Announces the plugin; the networks are imported only when someone asks for them."""

from collections.abc import Iterator

from medsynth.plugins import Generator, PluginEntry, hookimpl


def _load() -> type[Generator]:
    from medsynth_tiny_gan.net import TinyGAN

    return TinyGAN


@hookimpl
def medsynth_register_generators() -> Iterator[PluginEntry[Generator]]:
    """One pair of networks."""
    yield PluginEntry(name="tiny-gan", load=_load, summary="A conditional GAN of two dense networks.")
