"""Finds the plugins that are installed: the built-in ones, then every entry point of the group ``medsynth``.

Two environment variables choose, by the name of the entry point or of its distribution, separated by commas:
``MEDSYNTH_DISABLE_PLUGINS`` leaves plugins out; ``MEDSYNTH_LOAD_PLUGINS`` lets in only those that it names (empty: only
the built-in ones, which are always there). What is left out is never imported. Nothing is installed or downloaded.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from importlib import metadata

from medsynth import __version__
from medsynth.errors import PluginError
from medsynth.plugins.records import PluginFailure, PluginSource
from medsynth.plugins.registry import Registry

__all__ = ["discover", "registry"]

GROUP = "medsynth"
CORE = "medsynth-core"

_BUILT_IN = {"defaults": "medsynth.default_plugins.hooks"}

_log = logging.getLogger(__name__)


@functools.cache
def registry() -> Registry:
    """The plugins of this installation, discovered once a process.

    A plugin that cannot be used is left out, kept in ``failures`` and logged as one warning (on stderr, unless logging
    is configured otherwise).
    """
    found = discover(os.environ)
    for failure in found.failures:
        _log.warning("%s", failure)
    return found


def discover(environ: Mapping[str, str]) -> Registry:
    """Register the built-in plugins, then the installed ones that ``environ`` admits, sorted by distribution."""
    denied = _names(environ.get("MEDSYNTH_DISABLE_PLUGINS", ""))
    allowed = _names(environ["MEDSYNTH_LOAD_PLUGINS"]) if "MEDSYNTH_LOAD_PLUGINS" in environ else None
    found = Registry()
    for source in _built_in():
        found.add(source)
    known: set[str] = set()
    for source in sorted(_installed(found), key=lambda source: (_normal(source.distribution), source.plugin)):
        names = {_normal(source.plugin), _normal(source.distribution)}
        known |= names
        if not names & denied and (allowed is None or names & allowed):
            found.add(source)
    for name in sorted((allowed or set()) - known):
        found.fail(
            PluginFailure(name, name, "find", PluginError("MEDSYNTH_LOAD_PLUGINS names it; it is not installed."))
        )
    return found


def _built_in() -> Iterator[PluginSource]:
    for plugin, module in _BUILT_IN.items():
        load = functools.partial(importlib.import_module, module)
        yield PluginSource(plugin=plugin, distribution=CORE, version=__version__, module=module, load=load)


def _installed(found: Registry) -> Iterator[PluginSource]:
    """Every entry point of the group; a package with broken metadata fails alone."""
    seen: set[str] = set()
    for distribution in metadata.distributions():
        name = "a package without a readable name"
        try:
            # Parsing the metadata of every installed package would be slow.
            if f"[{GROUP}]" not in (distribution.read_text("entry_points.txt") or ""):
                continue
            name = str(distribution.metadata["Name"])
            if _normal(name) in seen:  # The first on the path shadows the others, as for modules.
                continue
            seen.add(_normal(name))
            for entry in distribution.entry_points.select(group=GROUP):
                yield PluginSource(
                    plugin=entry.name,
                    distribution=name,
                    version=distribution.version,
                    module=entry.module,
                    load=entry.load,
                )
        except Exception as error:
            unreadable = PluginError(
                f"its metadata cannot be read ({type(error).__name__}: {error}). Install it again."
            )
            found.fail(PluginFailure(name, name, "find", unreadable))


def _names(text: str) -> set[str]:
    return {_normal(name) for name in text.split(",") if name.strip()}


def _normal(name: str) -> str:
    """A name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
