"""Every plugin by kind and name. A plugin that cannot be used is left out, named and explained; the rest go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

from medsynth.errors import (
    MedsynthError,
    MissingExtraError,
    PluginConflictError,
    PluginError,
    PluginInterfaceError,
    UnknownPluginError,
    did_you_mean,
)
from medsynth.plugins.contract import check_class, check_entry
from medsynth.plugins.hookspecs import find_hooks
from medsynth.plugins.options import check_options
from medsynth.plugins.records import PluginFailure, PluginRecord, PluginSource, Stage

if TYPE_CHECKING:
    from medsynth.plugins.interfaces import Backbone, Generator, Metric, PluginEntry, PluginKind

__all__ = ["Registry"]


@dataclass(frozen=True, slots=True)
class _Registered:
    record: PluginRecord
    entry: PluginEntry[Any]


class Registry:
    """Plugins by kind and name; empty until :meth:`add` is called.

    Programs use :func:`medsynth.plugins.registry`, which holds what is installed; tests fill one of their own.
    """

    def __init__(self) -> None:
        self._plugins: dict[tuple[PluginKind, str], _Registered] = {}
        self._classes: dict[tuple[PluginKind, str], type[Any]] = {}
        self._failures: list[PluginFailure] = []

    def add(self, source: PluginSource) -> None:
        """Import a hooks module and register everything that it announces, or nothing of it.

        What goes wrong never leaves this method: it becomes one of :attr:`failures`.
        """
        stage: Stage = "import"
        try:
            module = source.load()
            stage = "hooks"
            hooks = find_hooks(module)
            stage = "call"
            # A generator function raises only while it is iterated, so the list is made here.
            entries = [(kind, entry) for kind, hook in hooks for entry in _called(hook())]
            stage = "entries"
            registered = self._checked(source, entries)
        except (Exception, SystemExit) as error:  # A plugin that calls sys.exit() must not end medsynth.
            self.fail(PluginFailure(source.plugin, source.distribution, stage, error))
        else:
            self._plugins.update(registered)

    def fail(self, failure: PluginFailure) -> None:
        """Keep a failure that happened before there was a plugin to add."""
        self._failures.append(failure)

    @property
    def failures(self) -> tuple[PluginFailure, ...]:
        """Every plugin that was left out, in the order of discovery."""
        return tuple(self._failures)

    def names(self, kind: PluginKind) -> tuple[str, ...]:
        """Names of one kind, sorted."""
        return tuple(sorted(name for each, name in self._plugins if each == kind))

    def records(self) -> tuple[PluginRecord, ...]:
        """Everything registered, by kind and name. Imports no plugin class."""
        return tuple(self._plugins[key].record for key in sorted(self._plugins))

    def record(self, kind: PluginKind, name: str) -> PluginRecord:
        """What is known of a plugin without importing its class.

        Raises:
            UnknownPluginError: There is none of this kind and name; says what there is, and what is broken.
        """
        return self._find(kind, name).record

    def search(self, name: str) -> tuple[PluginRecord, ...]:
        """The plugins of every kind that have this name; at least one.

        Raises:
            UnknownPluginError: As :meth:`record`.
        """
        found = tuple(record for record in self.records() if record.name == name)
        if not found:
            raise self._unknown("plugin", name, sorted({record.name for record in self.records()}))
        return found

    def provenance(self, kind: PluginKind, name: str) -> dict[str, str]:
        """``name``, ``distribution`` and ``version`` for the artefact.

        Raises:
            UnknownPluginError: As :meth:`record`.
        """
        record = self.record(kind, name)
        return {"name": record.name, "distribution": record.distribution, "version": record.version}

    @overload
    def get(self, kind: Literal["backbone"], name: str) -> type[Backbone]: ...
    @overload
    def get(self, kind: Literal["generator"], name: str) -> type[Generator]: ...
    @overload
    def get(self, kind: Literal["metric"], name: str) -> type[Metric]: ...
    @overload
    def get(self, kind: PluginKind, name: str) -> type[Backbone | Generator | Metric]: ...

    def get(self, kind: PluginKind, name: str) -> type[Any]:
        """The class of a plugin, imported on first use and checked against the contract of its kind.

        Raises:
            UnknownPluginError: As :meth:`record`.
            MissingExtraError: It needs Keras or TensorFlow, which is not installed.
            PluginError: It cannot be imported.
            PluginInterfaceError: The class does not keep the contract.
        """
        key = (kind, name)
        if key not in self._classes:
            plugin = self._find(kind, name)
            whose = f"{kind} '{name}' of {plugin.record.distribution}"
            self._classes[key] = check_class(_load(plugin.entry, whose), kind, name, whose)
        return self._classes[key]

    @overload
    def create(self, kind: Literal["backbone"], name: str, options: Mapping[str, Any] = ...) -> Backbone: ...
    @overload
    def create(self, kind: Literal["generator"], name: str, options: Mapping[str, Any] = ...) -> Generator: ...
    @overload
    def create(self, kind: Literal["metric"], name: str, options: Mapping[str, Any] = ...) -> Metric: ...
    @overload
    def create(
        self, kind: PluginKind, name: str, options: Mapping[str, Any] = ...
    ) -> Backbone | Generator | Metric: ...

    def create(self, kind: PluginKind, name: str, options: Mapping[str, Any] | None = None) -> Any:
        """Construct a plugin with its options, names and plain types checked.

        Args:
            kind: ``"backbone"``, ``"generator"`` or ``"metric"``.
            name: As registered.
            options: Keyword arguments of its constructor.

        Raises:
            ConfigError: An unknown option (the valid ones are listed), a value of the wrong type, or one that the
                constructor refuses.
            PluginError: The constructor fails in another way; or as :meth:`get`.
        """
        cls = self.get(kind, name)
        options = options or {}
        check_options(cls, options, f"{kind} '{name}'")
        try:
            return cls(**options)
        except MedsynthError:
            raise
        except Exception as error:
            given = ", ".join(f"{key}={value!r}" for key, value in options.items()) or "no options"
            raise PluginError(
                f"{kind} '{name}' of {self.record(kind, name).distribution} cannot be constructed with {given}: {error}"
            ) from error

    def _find(self, kind: PluginKind, name: str) -> _Registered:
        try:
            return self._plugins[kind, name]
        except KeyError:
            raise self._unknown(kind, name, self.names(kind)) from None

    def _unknown(self, what: str, name: str, names: Sequence[str]) -> UnknownPluginError:
        hint = did_you_mean(name, names)
        broken = f" Left out because they failed: {'; '.join(map(str, self._failures))}" if self._failures else ""
        return UnknownPluginError(
            f"there is no {what} called '{name}'.{hint} Installed: {', '.join(names) or 'none'}.{broken}"
        )

    def _checked(
        self, source: PluginSource, entries: Iterable[tuple[PluginKind, object]]
    ) -> dict[tuple[PluginKind, str], _Registered]:
        registered: dict[tuple[PluginKind, str], _Registered] = {}
        for kind, yielded in entries:
            entry = check_entry(yielded, kind)
            key = (kind, entry.name)
            other = registered.get(key) or self._plugins.get(key)
            if other is not None:
                raise PluginConflictError(
                    f"{kind} '{entry.name}' is registered by {other.record.distribution} and by "
                    f"{source.distribution}; the first is kept. Uninstall one, or name it in MEDSYNTH_DISABLE_PLUGINS."
                )
            record = PluginRecord(
                kind=kind,
                name=entry.name,
                distribution=source.distribution,
                version=source.version,
                summary=entry.summary,
                api=entry.api,
                hooks=source.module,
            )
            registered[key] = _Registered(record, entry)
        return registered


def _called(result: object) -> list[object]:
    if not isinstance(result, Iterable):
        raise PluginInterfaceError(f"a hook must yield PluginEntry records. Got {type(result).__name__}.")
    return list(result)


def _load(entry: PluginEntry[Any], whose: str) -> object:
    try:
        return entry.load()
    except MedsynthError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in {"keras", "tensorflow"}:
            raise MissingExtraError(whose, "train", missing="TensorFlow") from error
        raise PluginError(f"{whose} cannot be imported: {type(error).__name__}: {error}") from error
