import types

import pytest

from medsynth.plugins import PluginEntry, PluginSource, Registry, hookimpl
from medsynth.testing import Subject


@pytest.fixture
def subject_of():
    """A class as the subject of the kit, registered in a registry of its own."""

    def subject(kind, cls, *, hooks="hooks_of_a_test", summary="A plugin of a test.", **options):
        def hook():
            yield PluginEntry(name=cls.name, load=lambda: cls, summary=summary)

        module = types.ModuleType(hooks)
        setattr(module, f"medsynth_register_{kind}s", hookimpl(hook))
        registry = Registry()
        registry.add(PluginSource(plugin="p", distribution="d", version="1", module=hooks, load=lambda: module))
        return Subject(kind=kind, name=cls.name, options=options, registry=registry)

    return subject
