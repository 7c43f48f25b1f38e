"""What is known of a plugin before, after and instead of its registration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from medsynth.errors import MedsynthError

if TYPE_CHECKING:
    from medsynth.plugins.interfaces import PluginKind

__all__ = ["PluginFailure", "PluginRecord", "PluginSource", "Stage"]

Stage: TypeAlias = Literal["find", "import", "hooks", "call", "entries"]
"""Where a plugin failed: finding it, importing its hooks module, checking its hooks, calling them, what they gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSource:
    """A hooks module that was found and is not imported yet.

    Attributes:
        plugin: Name of the entry point.
        distribution: The installed package that has it.
        version: Of the distribution.
        module: Name of the hooks module.
        load: Imports and returns it.
    """

    plugin: str
    distribution: str
    version: str
    module: str
    load: Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRecord:
    """A registered plugin, as ``medsynth plugins list`` shows it.

    Attributes:
        kind: ``"backbone"``, ``"generator"`` or ``"metric"``.
        name: Unique within its kind.
        distribution: The installed package that brought it.
        version: Of the distribution.
        summary: One sentence.
        api: The plugin API that it was written for.
        hooks: Name of the module that announced it.
    """

    kind: PluginKind
    name: str
    distribution: str
    version: str
    summary: str
    api: int
    hooks: str


@dataclass(frozen=True, slots=True, eq=False)
class PluginFailure:
    """A plugin that was left out, and why; ``str()`` is the line for a person.

    Attributes:
        plugin: Name of the entry point.
        distribution: The installed package that has it.
        stage: How far it came.
        error: What was raised.
    """

    plugin: str
    distribution: str
    stage: Stage
    error: BaseException

    @property
    def reason(self) -> str:
        """The error in one line; its type too, where it is not one of ours."""
        text = " ".join(str(self.error).split())
        if isinstance(self.error, MedsynthError):
            return text
        return f"{type(self.error).__name__}: {text}" if text else type(self.error).__name__

    def __str__(self) -> str:
        return f"plugin '{self.plugin}' of {self.distribution} is left out: {self.reason}"
