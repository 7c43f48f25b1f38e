"""The plugin under test, and what the checks of every kind share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from medsynth.plugins import PluginKind, Registry, registry
from medsynth.plugins.options import describe_options

__all__ = ["Check", "Subject", "require", "run_without_keras"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A registered plugin and the options to test it with.

    Attributes:
        kind: ``"backbone"``, ``"generator"`` or ``"metric"``.
        name: As registered.
        options: For example a small width, so that the checks are quick. ``weights="none"`` is added where the plugin
            has that option, because the checks download nothing.
        registry: Where the plugin is registered.
    """

    kind: PluginKind
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    registry: Registry = field(default_factory=registry)

    def create(self) -> Any:
        """The plugin, constructed with the options under test."""
        return self.registry.create(self.kind, self.name, self.effective_options())

    def effective_options(self) -> dict[str, Any]:
        """The options under test, ``weights="none"`` included."""
        names = {option.name for option in describe_options(self.registry.get(self.kind, self.name))}
        return {**({"weights": "none"} if "weights" in names else {}), **self.options}


Check: TypeAlias = Callable[[Subject], None]
"""Returns when the plugin passes; raises ``AssertionError``, or whatever the plugin raises, when it does not."""


def require(condition: bool, message: str) -> None:
    """``assert`` that ``python -O`` keeps and that explains itself without pytest."""
    if not condition:
        raise AssertionError(message)


def run_without_keras(code: str, *arguments: str) -> None:
    """Run code in a fresh Python in which TensorFlow and Keras cannot be imported.

    Args:
        code: Python source; ``arguments`` is a list of texts in it.
        *arguments: The texts.

    Raises:
        AssertionError: The code raised; the message is its last line.
    """
    preamble = (
        "import sys\n"
        "count = int(sys.argv[1])\n"
        "arguments, sys.path[:] = sys.argv[2 : 2 + count], sys.argv[2 + count :]\n"
        "for name in ('tensorflow', 'keras', 'tf2onnx'):\n"
        "    sys.modules[name] = None\n"
    )
    command = [sys.executable, "-c", preamble + code, str(len(arguments)), *arguments, *sys.path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise AssertionError(f"without TensorFlow and Keras: {lines[-1]}")
