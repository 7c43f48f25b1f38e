"""Whether a value from a file or the command line is of the type that an annotation says.

Only plain types are judged: bool, int, float, str, ``None``, ``Literal`` and unions of these. An ``int`` passes for a
``float``; a ``bool`` passes only for itself. Whatever else an annotation says accepts every value.
"""

from __future__ import annotations

import types
import typing
from typing import Any, Literal, Union

__all__ = ["describe", "fits"]

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "left out"}


def fits(value: Any, hint: Any) -> bool:
    """Whether ``value`` may be given where ``hint`` is the resolved annotation.

    >>> fits(1, float), fits(True, int), fits("gap", Literal["gap", "fc4096"]), fits(1.5, int | None)
    (True, False, True, False)
    """
    if hint is None:
        return value is None
    origin = typing.get_origin(hint)
    if origin in {Union, types.UnionType}:
        return any(fits(value, arm) for arm in typing.get_args(hint))
    if origin is Literal:
        # 1 == True == 1.0, so the type is compared too.
        return any(value == each and type(value) is type(each) for each in typing.get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if hint in _WORDS else True


def describe(hint: Any) -> str:
    """A type in words.

    >>> describe(int | None), describe(Literal["gap", "fc4096"])
    ('a whole number or left out', "'gap' or 'fc4096'")
    """
    origin = typing.get_origin(hint)
    if origin in {Union, types.UnionType}:
        return " or ".join(describe(arm) for arm in typing.get_args(hint))
    if origin is Literal:
        return " or ".join(repr(choice) for choice in typing.get_args(hint))
    if hint is Any:
        return "anything"
    return _WORDS.get(hint) or str(getattr(hint, "__name__", hint))
