"""The registry by itself: classes on first use, creation, provenance."""

import types

import pytest

from medsynth.errors import ConfigError, PluginConflictError, UnknownPluginError
from medsynth.plugins import Metric, PluginEntry, PluginSource, Registry, Result, hookimpl


class Count(Metric):
    """Counts rows."""

    name = "count"
    inputs = "features"
    higher_is_better = None

    def __init__(self, *, factor: int = 1) -> None:
        if factor < 1:
            raise ConfigError(f"count: option 'factor' must be at least 1. Got {factor}.")
        self.factor = factor
        self.rows = 0

    def reset(self):
        self.rows = 0

    def update(self, reference, candidate, *, reference_labels=None, candidate_labels=None):
        self.rows += len(candidate)

    def compute(self):
        return Result(value=self.factor * self.rows)


def source(*entries, plugin="counting", distribution="counters", version="2.0"):
    module = types.ModuleType("counting_hooks")

    @hookimpl
    def medsynth_register_metrics():
        return entries

    module.medsynth_register_metrics = medsynth_register_metrics
    return PluginSource(
        plugin=plugin, distribution=distribution, version=version, module=module.__name__, load=lambda: module
    )


def entry(name="count", load=lambda: Count):
    return PluginEntry(name=name, load=load, summary="Counts.")


@pytest.fixture
def registry():
    found = Registry()
    found.add(source(entry()))
    return found


def test_an_empty_registry_has_nothing():
    assert Registry().records() == Registry().failures == Registry().names("metric") == ()


def test_records_tell_where_a_plugin_comes_from(registry):
    (record,) = registry.records()
    assert (record.kind, record.name, record.distribution, record.version) == ("metric", "count", "counters", "2.0")
    assert (record.summary, record.api, record.hooks) == ("Counts.", 1, "counting_hooks")
    assert registry.provenance("metric", "count") == {"name": "count", "distribution": "counters", "version": "2.0"}


def test_the_class_is_loaded_once_and_only_when_asked_for():
    loads = []

    def load():
        loads.append(1)
        return Count

    found = Registry()
    found.add(source(entry(load=load)))
    assert found.records()
    assert not loads
    assert found.get("metric", "count") is found.get("metric", "count") is Count
    assert len(loads) == 1


def test_create_passes_options(registry):
    assert registry.create("metric", "count").factor == 1
    assert registry.create("metric", "count", {"factor": 3}).factor == 3


def test_create_names_the_plugin_of_an_unknown_option(registry):
    with pytest.raises(ConfigError, match=r"metric 'count' has no option 'facter'. Did you mean 'factor'\?"):
        registry.create("metric", "count", {"facter": 3})


def test_the_constructors_own_complaint_passes_through(registry):
    with pytest.raises(ConfigError, match=r"^count: option 'factor' must be at least 1. Got 0.$"):
        registry.create("metric", "count", {"factor": 0})


def test_an_unknown_name_is_answered_with_the_nearest(registry):
    with pytest.raises(UnknownPluginError, match=r"no metric called 'cuont'. Did you mean 'count'\? Installed: count."):
        registry.get("metric", "cuont")
    with pytest.raises(UnknownPluginError, match=r"no backbone called 'count'. Installed: none."):
        registry.record("backbone", "count")


def test_search_looks_in_every_kind(registry):
    assert [record.kind for record in registry.search("count")] == ["metric"]
    with pytest.raises(UnknownPluginError, match=r"no plugin called 'counts'. Did you mean 'count'\?"):
        registry.search("counts")


def test_the_second_of_a_clash_is_refused_whole(registry):
    registry.add(source(entry("other"), entry("count"), plugin="rival", distribution="rivals"))
    (failure,) = registry.failures
    assert isinstance(failure.error, PluginConflictError)
    assert "counters and by rivals" in failure.reason
    assert registry.names("metric") == ("count",)
    assert registry.provenance("metric", "count")["distribution"] == "counters"


def test_a_plugin_can_clash_with_itself():
    found = Registry()
    found.add(source(entry(), entry()))
    assert "counters and by counters" in found.failures[0].reason
    assert found.records() == ()


def test_the_same_name_may_be_used_by_another_kind(registry):
    module = types.ModuleType("hooks")

    @hookimpl
    def medsynth_register_backbones():
        yield entry()

    module.medsynth_register_backbones = medsynth_register_backbones
    registry.add(PluginSource(plugin="p", distribution="d", version="1", module="hooks", load=lambda: module))
    assert registry.failures == ()
    assert [record.kind for record in registry.search("count")] == ["backbone", "metric"]
