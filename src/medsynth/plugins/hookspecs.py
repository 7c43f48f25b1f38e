"""The hooks of a plugin package, and the only code that touches pluggy.

A package names its *hooks module* in the entry-point group ``medsynth``::

    [project.entry-points.medsynth]
    tiny-cnn = "medsynth_tiny_cnn.hooks"

The module imports only ``medsynth.plugins`` and marks functions of the names below with :data:`hookimpl`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, get_args

import pluggy

from medsynth.errors import PluginInterfaceError, did_you_mean
from medsynth.plugins.interfaces import Backbone, Generator, Metric, PluginEntry, PluginKind

__all__ = ["MedsynthHooks", "find_hooks", "hookimpl"]

hookimpl = pluggy.HookimplMarker("medsynth")
"""Marks a function of a hooks module as the implementation of the hook of the same name."""

_hookspec = pluggy.HookspecMarker("medsynth")


class MedsynthHooks:
    """Every hook there is. Each is called once, when plugins are discovered."""

    @_hookspec
    def medsynth_register_backbones(self) -> Iterable[PluginEntry[Backbone]]:  # type: ignore[empty-body]
        """Announce classification networks.

        >>> @hookimpl
        ... def medsynth_register_backbones():
        ...     yield PluginEntry(name="stranger-net", load=_load, summary="A three-layer network.")
        """

    @_hookspec
    def medsynth_register_generators(self) -> Iterable[PluginEntry[Generator]]:  # type: ignore[empty-body]
        """Announce class-conditional generators."""

    @_hookspec
    def medsynth_register_metrics(self) -> Iterable[PluginEntry[Metric]]:  # type: ignore[empty-body]
        """Announce metrics."""


_HOOKS: dict[str, PluginKind] = {f"medsynth_register_{kind}s": kind for kind in get_args(PluginKind)}


def find_hooks(module: object) -> tuple[tuple[PluginKind, Callable[[], Any]], ...]:
    """The hook implementations of one plugin, names and arguments checked.

    Every plugin gets a manager of its own: whatever is wrong with it, no other plugin is registered beside it, and
    there is nothing to roll back (pluggy below 1.7 leaves a plugin that it refused half registered).

    Raises:
        PluginInterfaceError: No hook, an unknown or unmarked one, or arguments that the hook does not have.
    """
    manager = pluggy.PluginManager("medsynth")
    manager.add_hookspecs(MedsynthHooks)
    try:
        manager.register(module)
    except pluggy.PluginValidationError as error:
        # The first line names the plugin, which the failure does already.
        raise PluginInterfaceError("; ".join(str(error).splitlines()[1:])) from error
    callers = manager.get_hookcallers(module) or []
    unmarked = [name for name in dir(module) if name.startswith("medsynth_register_")]
    for name in [*(caller.name for caller in callers), *unmarked]:
        if name not in _HOOKS:
            hint = did_you_mean(name, _HOOKS)
            raise PluginInterfaceError(f"there is no hook '{name}'.{hint} The hooks are {', '.join(_HOOKS)}.")
    for name in unmarked:
        if all(caller.name != name for caller in callers):
            raise PluginInterfaceError(f"'{name}' is not marked. Put @hookimpl of medsynth.plugins above it.")
    if not callers:
        raise PluginInterfaceError(
            f"it has no hook. The entry point must name a module with an @hookimpl function: {' or '.join(_HOOKS)}."
        )
    return tuple((_HOOKS[caller.name], impl.function) for caller in callers for impl in caller.get_hookimpls())
