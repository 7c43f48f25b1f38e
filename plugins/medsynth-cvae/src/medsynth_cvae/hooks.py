"""Announces the plugin; the networks are imported only when someone asks for them."""

from collections.abc import Iterator

from medsynth.plugins import Generator, PluginEntry, hookimpl


def _load() -> type[Generator]:
    from medsynth_cvae.net import CVAE

    return CVAE


@hookimpl
def medsynth_register_generators() -> Iterator[PluginEntry[Generator]]:
    """One generator."""
    yield PluginEntry(name="cvae", load=_load, summary="Conditional VAE: cheap, stable, diverse, and blurred.")
