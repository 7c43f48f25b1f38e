"""Every error that medsynth raises on purpose.

The message of each says what is wrong, what it must be, what it got and how to mend it, in one line: the command line
prints that line and nothing else. Children also derive from the built-in exception that a Python user would catch.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "ArtifactError",
    "CheckFailedError",
    "ConfigError",
    "DataError",
    "DeviceError",
    "ImageError",
    "MedsynthError",
    "MemoryRanOutError",
    "MissingExtraError",
    "OutputError",
    "PluginConflictError",
    "PluginError",
    "PluginInterfaceError",
    "UnknownPluginError",
    "did_you_mean",
    "one_line",
]


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """The sentence that goes into a message about an unknown name, or nothing where no known one is near.

    >>> did_you_mean("vgg61", ["acgan", "vgg16"])
    " Did you mean 'vgg16'?"
    """
    # Imported here: an error is rare, and every module imports this one.
    from difflib import get_close_matches

    near = [name for name in get_close_matches(given, list(known), 1) if name != given]
    return f" Did you mean '{near[0]}'?" if near else ""


def one_line(error: BaseException) -> str:
    """What an exception of other people's code says, without line breaks or a last stop, at most 200 characters."""
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


class MedsynthError(Exception):
    """Bad input or a bad environment, explained in one line. ``exit_code`` is what the command line returns."""

    exit_code = 2


class DataError(MedsynthError, ValueError):
    """A data set that cannot be used: missing files, one class only, labels that do not match."""


class ImageError(DataError):
    """One image that cannot be decoded. Folder-scale work lists it and goes on."""


class ConfigError(MedsynthError, ValueError):
    """An option that does not exist or has a value it cannot have."""


class ArtifactError(MedsynthError, ValueError):
    """An ONNX file that is corrupt, is not what it says, or lacks the facts that the task needs."""


class DeviceError(MedsynthError, RuntimeError):
    """The device that was asked for does not work here."""


class MemoryRanOutError(MedsynthError, MemoryError):
    """The device has no memory left for a batch of this size."""


class OutputError(MedsynthError, OSError):
    """A result that could not be written."""


class MissingExtraError(MedsynthError, ImportError):
    """A feature whose optional dependency is not installed."""

    def __init__(self, what: str, extra: str, *, missing: str) -> None:
        super().__init__(
            f"{what} needs {missing}, which is not installed. Install the extra: "
            f"pip install 'medsynth-core[{extra}]' (from a checkout: pip install '.[{extra}]')."
        )


class CheckFailedError(MedsynthError):
    """A check that ran and did not pass (``verify``, ``audit --fail-on``, ``plugins list --strict``)."""

    exit_code = 1


class PluginError(MedsynthError):
    """A plugin that cannot be used."""


class UnknownPluginError(PluginError, LookupError):
    """No plugin of this kind has this name."""


class PluginConflictError(PluginError):
    """Two distributions register the same name."""


class PluginInterfaceError(PluginError, TypeError):
    """A plugin does not keep the contract of its kind."""
