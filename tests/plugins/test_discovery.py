"""What is installed is found, chosen and isolated: every broken plugin at once, and the sound ones go on."""

import logging
import sys

import pytest

from medsynth.errors import PluginConflictError, PluginInterfaceError, UnknownPluginError
from medsynth.plugins import discovery
from medsynth.plugins.discovery import discover

# Entry point, distribution, stage, and what the line for a person must say.
BROKEN = [
    ("import-error", "broken-import-error", "import", "No module named 'a_package_that_is_not_installed'"),
    ("exit", "broken-exit", "import", "SystemExit: this plugin wants to stop everything"),
    ("no-hook", "broken-no-hook", "hooks", "it has no hook"),
    ("unmarked-hook", "broken-unmarked-hook", "hooks", "Put @hookimpl of medsynth.plugins above it"),
    ("misspelt-hook", "broken-misspelt-hook", "hooks", "Did you mean 'medsynth_register_backbones'?"),
    ("hook-signature", "broken-hook-signature", "hooks", "medsynth_register_backbones(registry)"),
    ("raising-function", "broken-raising-function", "call", "RuntimeError: the licence server is down"),
    ("raising-generator", "broken-raising-generator", "call", "RuntimeError: out of entries"),
    ("returns-none", "broken-returns-none", "call", "must yield PluginEntry records. Got NoneType"),
    ("wrong-type", "broken-wrong-type", "entries", "must yield PluginEntry records. Got <class 'dict'>"),
    ("bad-name", "broken-bad-name", "entries", "lower-case words joined by hyphens"),
    ("bad-entry", "broken-bad-entry", "entries", "must have a callable load"),
    (
        "future-api",
        "broken-future-api",
        "entries",
        "backbone 'future-net' was written for plugin API 2; this medsynth offers API 1. Upgrade medsynth-core.",
    ),
    ("name-clash", "broken-name-clash", "entries", "registered by medsynth-core and by broken-name-clash"),
    ("rival", "rival-of-stranger", "entries", "registered by medsynth-stranger and by rival-of-stranger"),
]


def test_every_broken_plugin_is_named_and_explained(broken_plugins):
    failures = {failure.plugin: failure for failure in discover({}).failures}
    assert set(failures) == {plugin for plugin, *_ in BROKEN}
    for plugin, distribution, stage, words in BROKEN:
        failure = failures[plugin]
        assert (failure.distribution, failure.stage) == (distribution, stage)
        assert str(failure).startswith(f"plugin '{plugin}' of {distribution} is left out: ")
        assert words in failure.reason
        assert "\n" not in str(failure)


def test_there_is_a_test_for_every_fixture(broken_plugins):
    distributions = {path.name.partition("-")[0].replace("_", "-") for path in broken_plugins.glob("*.dist-info")}
    assert distributions == {name for _, name, *_ in BROKEN} | {"broken-classes", "medsynth-stranger"}


def test_sound_plugins_are_listed_beside_every_broken_one(broken_plugins):
    found = {(record.kind, record.name): record.distribution for record in discover({}).records()}
    assert found["backbone", "vgg16"] == "medsynth-core"
    assert found["generator", "acgan"] == "medsynth-core"
    assert found["metric", "auc"] == "medsynth-core"
    assert found["backbone", "stranger-net"] == "medsynth-stranger"


def test_a_plugin_registers_everything_or_nothing(broken_plugins):
    names = discover({}).names("backbone")
    # Each of these was yielded before its plugin failed.
    assert "half-net" not in names
    assert "clash-net" not in names


def test_failures_have_the_type_that_says_what_happened(broken_plugins):
    failures = {failure.plugin: failure.error for failure in discover({}).failures}
    assert isinstance(failures["name-clash"], PluginConflictError)
    assert isinstance(failures["future-api"], PluginInterfaceError)
    assert isinstance(failures["raising-function"], RuntimeError)


def test_an_unknown_name_also_tells_what_is_broken(broken_plugins):
    with pytest.raises(UnknownPluginError, match=r"no backbone called 'future-net'.*plugin API 2"):
        discover({}).get("backbone", "future-net")


def test_built_in_plugins_come_first_then_distributions_in_order(broken_plugins, monkeypatch):
    order = []
    monkeypatch.setattr(discovery.Registry, "add", lambda self, source: order.append(source.distribution))
    discover({})
    assert order[0] == "medsynth-core"
    assert order[1:] == sorted(order[1:])
    assert "medsynth-stranger" in order


@pytest.mark.parametrize("denied", ["exit", "broken-exit", "BROKEN_EXIT", "stranger, exit"])
def test_disabled_plugins_are_never_imported(broken_plugins, denied):
    found = discover({"MEDSYNTH_DISABLE_PLUGINS": denied})
    assert "exit" not in {failure.plugin for failure in found.failures}
    assert "broken_exit" not in sys.modules
    distributions = {record.distribution for record in found.records()}
    assert ("medsynth-stranger" in distributions) == ("stranger" not in denied)


def test_an_empty_allow_list_leaves_the_built_in_plugins(broken_plugins):
    found = discover({"MEDSYNTH_LOAD_PLUGINS": ""})
    assert {record.distribution for record in found.records()} == {"medsynth-core"}
    assert found.failures == ()
    assert "medsynth_stranger.hooks" not in sys.modules


def test_an_allow_list_loads_only_what_it_names(broken_plugins):
    found = discover({"MEDSYNTH_LOAD_PLUGINS": "medsynth-stranger"})
    assert {record.distribution for record in found.records()} == {"medsynth-core", "medsynth-stranger"}
    assert found.failures == ()


def test_denying_wins_over_allowing(broken_plugins):
    found = discover({"MEDSYNTH_LOAD_PLUGINS": "stranger", "MEDSYNTH_DISABLE_PLUGINS": "stranger"})
    assert "stranger-net" not in found.names("backbone")


def test_an_allow_list_that_names_what_is_not_installed_says_so(broken_plugins):
    (failure,) = discover({"MEDSYNTH_LOAD_PLUGINS": "strangre"}).failures
    assert failure.stage == "find"
    assert "strangre" in str(failure)
    assert "MEDSYNTH_LOAD_PLUGINS" in str(failure)


def test_unreadable_metadata_fails_alone(tmp_path, monkeypatch, broken_plugins):
    info = tmp_path / "broken_metadata-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-metadata\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[medsynth]\nthis line is no entry point\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = discover({"MEDSYNTH_LOAD_PLUGINS": "stranger"})
    assert [failure.distribution for failure in found.failures] == ["broken-metadata"]
    assert "metadata cannot be read" in found.failures[0].reason
    assert "stranger-net" in found.names("backbone")


def test_the_first_of_two_copies_on_the_path_counts(tmp_path, monkeypatch, broken_plugins):
    info = tmp_path / "medsynth_stranger-0.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Medsynth_Stranger\nVersion: 0.9\n")
    (info / "entry_points.txt").write_text("[medsynth]\nstranger = a_module_that_is_gone\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    found = discover({"MEDSYNTH_LOAD_PLUGINS": "stranger"})
    assert found.failures == ()
    assert found.provenance("backbone", "stranger-net")["version"] == "1.0"


def test_the_process_wide_registry_warns_of_each_failure_once(broken_plugins, monkeypatch, caplog):
    monkeypatch.setenv("MEDSYNTH_LOAD_PLUGINS", "future-api,stranger")
    discovery.registry.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, logger="medsynth"):
            assert discovery.registry() is discovery.registry()
        assert [record.getMessage() for record in caplog.records] == [str(discovery.registry().failures[0])]
    finally:
        discovery.registry.cache_clear()
