"""Runs the checks of a kind: as parameters of a pytest test, or one after the other."""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medsynth.errors import ConfigError, did_you_mean
from medsynth.testing import common
from medsynth.testing.subject import Check, Subject
from medsynth.train.backend import require_tensorflow

if TYPE_CHECKING:
    import pytest

    from medsynth.plugins import PluginKind

__all__ = ["CheckOutcome", "checks", "parametrize_with_checks", "run_checks"]


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """How one check ended.

    Attributes:
        name: Of the check function.
        passed: Whether it returned.
        detail: What was wrong, or empty.
        seconds: How long it took.
    """

    name: str
    passed: bool
    detail: str
    seconds: float


def checks(kind: PluginKind) -> tuple[Check, ...]:
    """Every check of a kind, in the order in which they should be read.

    Raises:
        MissingExtraError: A backbone or generator is to be checked and TensorFlow is not installed.
    """
    if kind != "metric":
        require_tensorflow(f"checking a {kind}")
    module = importlib.import_module(f"medsynth.testing.{kind}")
    return (*common.CHECKS, *module.CHECKS)


def run_checks(subject: Subject) -> Iterator[CheckOutcome]:
    """Run every check of a plugin, the next one when its outcome is asked for.

    Raises:
        MissingExtraError: As :func:`checks`.
        UnknownPluginError: There is no such plugin.
    """
    subject.registry.record(subject.kind, subject.name)
    for check in checks(subject.kind):
        began = time.monotonic()
        try:
            check(subject)
            detail = ""
        except AssertionError as error:
            detail = str(error).strip() or "failed without a word"
        except Exception as error:
            detail = f"{type(error).__name__}: {error}"
        yield CheckOutcome(_name(check), not detail, detail, time.monotonic() - began)


def parametrize_with_checks(
    kind: PluginKind,
    name: str,
    *,
    options: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> pytest.MarkDecorator:
    """Parametrize a test over every check of a plugin; the test takes ``check`` and calls it.

    Args:
        kind: ``"backbone"``, ``"generator"`` or ``"metric"``.
        name: As registered.
        options: Options to test the plugin with, for example a small width.
        expected_failures: Check name to the reason why it fails for now; it must then fail (strict xfail).

    Raises:
        ConfigError: ``expected_failures`` names a check that does not exist.
        MissingExtraError: As :func:`checks`.
    """
    import pytest

    subject_checks, expected = checks(kind), dict(expected_failures or {})
    names = [_name(check) for check in subject_checks]
    for wrong in expected.keys() - set(names):
        hint = did_you_mean(wrong, names)
        raise ConfigError(f"expected_failures: there is no check '{wrong}' of a {kind}.{hint}")
    return pytest.mark.parametrize(
        "check",
        [
            pytest.param(
                functools.partial(_run, check, kind, name, options or {}),
                id=_name(check).removeprefix("check_"),
                marks=pytest.mark.xfail(reason=expected[_name(check)], strict=True) if _name(check) in expected else (),
            )
            for check in subject_checks
        ],
    )


def _run(check: Check, kind: PluginKind, name: str, options: Mapping[str, Any]) -> None:
    check(Subject(kind=kind, name=name, options=options))


def _name(check: Check) -> str:
    return str(getattr(check, "__name__", check))
