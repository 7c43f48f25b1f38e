"""What an entry and the class of a plugin must be; what the plugin does is for the conformance kit to check."""

from __future__ import annotations

import inspect
import re
from typing import Any, get_args

from medsynth.errors import PluginInterfaceError
from medsynth.plugins.interfaces import (
    PLUGIN_API,
    Backbone,
    Defect,
    Generator,
    Metric,
    MetricInput,
    PluginEntry,
    PluginKind,
)

__all__ = ["INTERFACES", "check_class", "check_entry"]

INTERFACES: dict[PluginKind, type[Any]] = {"backbone": Backbone, "generator": Generator, "metric": Metric}

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CHOICES = {"inputs": get_args(MetricInput), "punishes": get_args(Defect)}


def check_entry(yielded: object, kind: PluginKind) -> PluginEntry[Any]:
    """Check what a hook yielded.

    Raises:
        PluginInterfaceError: Not an entry, a field of another type, a name that is none, or a later plugin API.
    """
    if not isinstance(yielded, PluginEntry):
        raise PluginInterfaceError(f"medsynth_register_{kind}s must yield PluginEntry records. Got {yielded!r}.")
    entry: PluginEntry[Any] = yielded
    if not (isinstance(entry.name, str) and _NAME.fullmatch(entry.name)):
        raise PluginInterfaceError(
            f"the name of a {kind} must be lower-case words joined by hyphens, like 'tiny-cnn'. Got {entry.name!r}."
        )
    if not (callable(entry.load) and isinstance(entry.summary, str) and isinstance(entry.api, int)):
        raise PluginInterfaceError(
            f"the entry of {kind} '{entry.name}' must have a callable load, a text as summary and a whole number as "
            f"api. Got {entry!r}."
        )
    if entry.api > PLUGIN_API:
        raise PluginInterfaceError(
            f"{kind} '{entry.name}' was written for plugin API {entry.api}; this medsynth offers API {PLUGIN_API}. "
            "Upgrade medsynth-core."
        )
    return entry


def check_class(loaded: object, kind: PluginKind, name: str, whose: str) -> type[Any]:
    """Check the class of a plugin against the abstract class of its kind.

    Args:
        loaded: What ``PluginEntry.load`` returned.
        kind: What it was announced as.
        name: Its registered name.
        whose: How an error calls it.

    Returns:
        The class.

    Raises:
        PluginInterfaceError: Not a subclass, methods or attributes missing, methods that cannot be called as the
            interface says, another ``name``, or options that are not keyword-only with defaults.
    """
    interface = INTERFACES[kind]
    wanted = f"medsynth.plugins.{interface.__name__}"
    if not (isinstance(loaded, type) and issubclass(loaded, interface)):
        raise PluginInterfaceError(f"{whose}: load() must return a subclass of {wanted}. Got {loaded!r}.")
    cls: type[Any] = loaded
    if missing := sorted(cls.__abstractmethods__):
        methods = " and ".join(missing)
        raise PluginInterfaceError(f"{whose}: class {cls.__name__} lacks the method {methods} of {wanted}.")
    for attribute in inspect.get_annotations(interface):
        if not hasattr(cls, attribute):
            raise PluginInterfaceError(f"{whose}: class {cls.__name__} lacks the attribute '{attribute}' of {wanted}.")
        if attribute in _CHOICES and getattr(cls, attribute) not in _CHOICES[attribute]:
            raise PluginInterfaceError(
                f"{whose}: attribute '{attribute}' must be one of {', '.join(_CHOICES[attribute])}. "
                f"Got {getattr(cls, attribute)!r}."
            )
    if cls.name != name:
        raise PluginInterfaceError(f"{whose}: its class must have name = '{name}'. Got {cls.name!r}.")
    for method in sorted(interface.__abstractmethods__):
        _check_signature(getattr(cls, method), getattr(interface, method), f"{whose}: {cls.__name__}.{method}")
    for option in inspect.signature(cls).parameters.values():
        if option.kind is not inspect.Parameter.KEYWORD_ONLY or option.default is inspect.Parameter.empty:
            raise PluginInterfaceError(
                f"{whose}: options must be keyword-only with defaults, like (self, *, width: int = 8). "
                f"Got '{option}' in the constructor of {cls.__name__}."
            )
    return cls


def _check_signature(method: Any, wanted: Any, whose: str) -> None:
    """Whether a call that suits the interface suits the method: the arguments of the one are bound to the other."""
    parameters = inspect.signature(wanted).parameters.values()
    keywords = [each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]
    try:
        inspect.signature(method).bind(*[None] * (len(parameters) - len(keywords)), **dict.fromkeys(keywords))
    except TypeError as error:
        names = ", ".join(str(each).partition(":")[0] for each in parameters)
        raise PluginInterfaceError(f"{whose} must take ({names}). Got {inspect.signature(method)}: {error}.") from None
