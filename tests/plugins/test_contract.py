"""Classes that do not keep the contract are listed, and explained when somebody asks for them."""

import pytest

from medsynth.errors import MissingExtraError, PluginError, PluginInterfaceError
from medsynth.plugins import Backbone, PluginEntry
from medsynth.plugins.contract import INTERFACES, check_class
from medsynth.plugins.discovery import discover
from medsynth.plugins.registry import _load

EXPLAINED = [
    ("backbone", "missing-method", r"class MissingMethod lacks the method build of medsynth.plugins.Backbone"),
    (
        "backbone",
        "wrong-signature",
        r"WrongSignature.build must take \(self, image, num_classes\).*Got \(self, image\)",
    ),
    ("backbone", "other-name", r"its class must have name = 'other-name'. Got 'quite-another-name'"),
    ("backbone", "positional-option", r"keyword-only with defaults.*Got 'width=8'"),
    ("backbone", "required-option", r"keyword-only with defaults.*Got 'width'"),
    ("backbone", "not-a-subclass", r"load\(\) must return a subclass of medsynth.plugins.Backbone. Got <class 'dict'>"),
    ("generator", "missing-parts", r"lacks the attribute 'trained_parts'"),
    ("metric", "wrong-inputs", r"'inputs' must be one of probabilities, features, images. Got 'pixels'"),
]


@pytest.fixture
def classes(broken_plugins):
    return discover({"MEDSYNTH_LOAD_PLUGINS": "broken-classes"})


@pytest.mark.parametrize(("kind", "name", "message"), EXPLAINED)
def test_a_broken_class_is_listed_and_explained(classes, kind, name, message):
    assert name in classes.names(kind)
    with pytest.raises(PluginInterfaceError, match=message) as raised:
        classes.get(kind, name)
    assert str(raised.value).startswith(f"{kind} '{name}' of broken-classes")


def test_a_class_that_cannot_be_imported_is_explained(classes):
    with pytest.raises(PluginError, match=r"failing-load.*cannot be imported: OSError: libexotic.so is missing"):
        classes.get("backbone", "failing-load")


def test_a_constructor_that_fails_is_explained(classes):
    with pytest.raises(PluginError, match=r"cannot be constructed with width=3: no width is good enough"):
        classes.create("backbone", "failing-constructor", {"width": 3})


def test_missing_keras_is_answered_with_the_extra():
    def load():
        raise ModuleNotFoundError("No module named 'keras'", name="keras.layers")

    with pytest.raises(MissingExtraError, match=r"backbone 'x'.*medsynth-core\[train\]"):
        _load(PluginEntry(name="x", load=load, summary=""), "backbone 'x'")


def test_more_arguments_are_fine_when_they_have_defaults():
    class Net(Backbone):
        name = "net"

        def build(self, image, num_classes, *, verbose=False): ...

    assert check_class(Net, "backbone", "net", "mine") is Net


def test_interfaces_name_what_a_plugin_must_write():
    """What the design promises to plugin authors; a change here breaks their code."""
    assert {kind: set(cls.__abstractmethods__) for kind, cls in INTERFACES.items()} == {
        "backbone": {"build"},
        "generator": {"build", "sampler"},
        "metric": {"reset", "update", "compute"},
    }
