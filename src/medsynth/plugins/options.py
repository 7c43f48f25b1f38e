"""Options of a plugin: the keyword-only arguments of its constructor, read by inspection.

Values come from Python, TOML or ``-O key=value``, so one of the wrong plain type is caught here, with option and
plugin named, before the plugin's own code sees it.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medsynth.errors import ConfigError, did_you_mean
from medsynth.hints import describe, fits

__all__ = ["Option", "check_options", "describe_options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a plugin.

    Attributes:
        name: Of the constructor's argument.
        default: Its default.
        hint: Its type, resolved; ``Any`` where it has none or it cannot be resolved.
        doc: Its line in the docstring's ``Args``, or empty.
    """

    name: str
    default: Any
    hint: Any
    doc: str

    @property
    def type(self) -> str:
        """The type for a person."""
        return describe(self.hint)


def describe_options(cls: type[Any]) -> tuple[Option, ...]:
    """The options of a plugin class, in the order of its constructor."""
    docs = _documented(inspect.getdoc(cls) or "") | _documented(inspect.getdoc(_constructor(cls)) or "")
    return tuple(
        Option(name=each.name, default=each.default, hint=_resolve(cls, each.annotation), doc=docs.get(each.name, ""))
        for each in inspect.signature(cls).parameters.values()
    )


def check_options(cls: type[Any], options: Mapping[str, Any], whose: str) -> None:
    """Check names and plain types of options; types that are not plain are left to the plugin.

    Raises:
        ConfigError: An option that does not exist, or a value of another type.
    """
    known = {option.name: option for option in describe_options(cls)}
    for name, value in options.items():
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"{whose} has no option '{name}'.{hint} It has: {', '.join(sorted(known)) or 'none'}.")
        if not fits(value, known[name].hint):
            raise ConfigError(
                f"{whose}: option '{name}' must be {known[name].type}. Got {value!r} ({type(value).__name__})."
            )


def _resolve(cls: type[Any], annotation: Any) -> Any:
    """The type that an annotation means; ``Any`` where its names exist only for a type checker."""
    if annotation is inspect.Parameter.empty:
        return Any
    holder = types.SimpleNamespace(__annotations__={"option": annotation})
    try:
        return typing.get_type_hints(holder, globalns=getattr(_constructor(cls), "__globals__", {}))["option"]
    except (NameError, AttributeError, TypeError, SyntaxError):
        return Any


def _constructor(cls: Any) -> Any:
    return cls.__init__


def _documented(docstring: str) -> dict[str, str]:
    """Descriptions in the ``Args`` section of a google-style docstring, each on one line."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", docstring, re.MULTILINE)
    if section is None:
        return {}
    found = re.findall(r"^ {4}(\w+)(?: \(.*?\))?: (.*(?:\n {5,}.*)*)", section[1], re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}
