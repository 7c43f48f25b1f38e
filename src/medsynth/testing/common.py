"""Checks of every kind of plugin."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from medsynth.testing.subject import require, run_without_keras

if TYPE_CHECKING:
    from medsynth.testing.subject import Check, Subject

__all__ = ["CHECKS"]

_CALL_HOOKS = """
import importlib
from medsynth.plugins.hookspecs import find_hooks
for _, hook in find_hooks(importlib.import_module(arguments[0])):
    list(hook())
"""


def check_hooks_need_no_keras(subject: Subject) -> None:
    """The hooks module is imported and called where TensorFlow and Keras are not installed, to list plugins."""
    run_without_keras(_CALL_HOOKS, subject.registry.record(subject.kind, subject.name).hooks)


def check_class_keeps_the_contract(subject: Subject) -> None:
    """A subclass with every method, its own ``name``, and keyword-only options with defaults."""
    subject.registry.get(subject.kind, subject.name)


def check_constructs_without_options(subject: Subject) -> None:
    """Every option has a default that the constructor accepts."""
    subject.registry.create(subject.kind, subject.name)


def check_is_documented(subject: Subject) -> None:
    """The class has a docstring of its own, which ``medsynth plugins show`` prints, and the entry a summary."""
    cls = subject.registry.get(subject.kind, subject.name)
    require(bool(inspect.cleandoc(vars(cls).get("__doc__") or "")), f"class {cls.__name__} must have a docstring")
    require(bool(subject.registry.record(subject.kind, subject.name).summary.strip()), "the entry must have a summary")


CHECKS: tuple[Check, ...] = (
    check_hooks_need_no_keras,
    check_class_keeps_the_contract,
    check_constructs_without_options,
    check_is_documented,
)
