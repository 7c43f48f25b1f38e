"""What plugin authors import, and the typed door to every plugin that is installed.

Importing this package imports neither numpy nor Keras nor TensorFlow, so that a hooks module stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medsynth.errors import ConfigError, DataError
from medsynth.plugins.discovery import registry
from medsynth.plugins.hookspecs import hookimpl
from medsynth.plugins.interfaces import (
    PLUGIN_API,
    Backbone,
    Defect,
    Generator,
    Metric,
    MetricInput,
    PluginEntry,
    PluginKind,
    Result,
)
from medsynth.plugins.records import PluginFailure, PluginRecord, PluginSource
from medsynth.plugins.registry import Registry

if TYPE_CHECKING:
    from medsynth.images import ImageSpec

__all__ = [
    "PLUGIN_API",
    "Backbone",
    "ConfigError",
    "DataError",
    "Defect",
    "Generator",
    "ImageSpec",
    "Metric",
    "MetricInput",
    "PluginEntry",
    "PluginFailure",
    "PluginKind",
    "PluginRecord",
    "PluginSource",
    "Registry",
    "Result",
    "hookimpl",
    "registry",
]


def __getattr__(name: str) -> Any:
    """Import ``ImageSpec`` on first use: it comes with numpy and Pillow, which listing plugins does not need."""
    if name == "ImageSpec":
        from medsynth.images import ImageSpec

        return ImageSpec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
