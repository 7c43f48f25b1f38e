"""The built-in generator: AC-GAN as published (``classic``), and a successor for small sets (``modern``)."""

from __future__ import annotations

from medsynth.default_plugins.acgan.classic import ClassicModel
from medsynth.default_plugins.acgan.modern import ModernModel
from medsynth.default_plugins.acgan.plugin import ACGAN

__all__ = ["ACGAN", "ClassicModel", "ModernModel"]
