"""The kit as plugin authors meet it: under pytest, without pytest, and in front of the design's smallest plugin."""

import subprocess
import sys
from pathlib import Path

import pytest

from medsynth.errors import ConfigError, MissingExtraError, UnknownPluginError
from medsynth.plugins import Backbone
from medsynth.plugins.discovery import discover
from medsynth.testing import Subject, checks, common, kit, parametrize_with_checks, run_checks

FIXTURES = Path(__file__).parents[1] / "plugins" / "fixtures"


def test_the_smallest_plugin_of_the_design_passes_every_check(monkeypatch):
    monkeypatch.syspath_prepend(FIXTURES)
    registry = discover({"MEDSYNTH_LOAD_PLUGINS": "stranger"})
    outcomes = list(run_checks(Subject(kind="backbone", name="stranger-net", registry=registry)))
    assert [outcome for outcome in outcomes if not outcome.passed] == []
    assert len(outcomes) == len(checks("backbone"))


@parametrize_with_checks("metric", "f1", options={"resamples": 20})
def test_the_decorator_makes_one_test_of_each_check(check):
    check()


def test_parameters_are_readable_and_xfail_strictly():
    mark = parametrize_with_checks("metric", "f1", expected_failures={"check_reset_forgets": "known"}).mark
    parameters = {parameter.id: parameter.marks for parameter in mark.args[1]}
    assert "chunks_equal_the_whole" in parameters
    assert [name for name, marks in parameters.items() if marks] == ["reset_forgets"]
    (xfail,) = parameters["reset_forgets"]
    assert xfail.mark.kwargs == {"reason": "known", "strict": True}


def test_an_unknown_expected_failure_is_refused():
    with pytest.raises(
        ConfigError, match=r"no check 'check_reset_forget' of a metric. Did you mean 'check_reset_forgets'"
    ):
        parametrize_with_checks("metric", "f1", expected_failures={"check_reset_forget": "known"})


def test_run_checks_tells_how_each_ended(subject_of, monkeypatch):
    class Net(Backbone):
        name = "net"

        def build(self, image, num_classes):
            raise RuntimeError("out of order")

    monkeypatch.setattr(common, "CHECKS", (common.check_constructs_without_options, common.check_is_documented))
    outcomes = {outcome.name: outcome for outcome in run_checks(subject_of("backbone", Net))}
    assert outcomes["check_constructs_without_options"].passed
    assert outcomes["check_is_documented"].detail == "class Net must have a docstring"
    assert outcomes["check_inputs_and_outputs"].detail == "RuntimeError: out of order"
    assert outcomes["check_onnx_equals_keras"].seconds >= 0


def test_run_checks_of_an_unknown_plugin():
    with pytest.raises(UnknownPluginError, match="Did you mean 'tiny-cnn'"):
        next(run_checks(Subject(kind="backbone", name="tiny-cn")))


def test_networks_need_tensorflow(monkeypatch):
    def absent(what):
        raise MissingExtraError(what, "train", missing="tensorflow")

    monkeypatch.setattr(kit, "require_tensorflow", absent)
    with pytest.raises(MissingExtraError, match=r"checking a generator needs tensorflow.*medsynth-core\[train\]"):
        checks("generator")
    assert checks("metric")


def test_pretrained_weights_are_never_asked_for(subject_of):
    class Net(Backbone):
        """A network with pretrained weights."""

        name = "net"

        def __init__(self, *, weights: str = "imagenet", width: int = 8) -> None:
            self.weights, self.width = weights, width

        def build(self, image, num_classes): ...

    created = subject_of("backbone", Net, width=2).create()
    assert (created.weights, created.width) == ("none", 2)
    assert subject_of("backbone", Net, weights="mine.h5").create().weights == "mine.h5"


def test_hooks_that_import_keras_are_found(subject_of, tmp_path, monkeypatch):
    (tmp_path / "heavy_hooks.py").write_text("import keras\n")
    monkeypatch.syspath_prepend(tmp_path)

    class Net(Backbone):
        name = "net"

        def build(self, image, num_classes): ...

    with pytest.raises(AssertionError, match=r"without TensorFlow and Keras: ModuleNotFoundError.*keras"):
        common.check_hooks_need_no_keras(subject_of("backbone", Net, hooks="heavy_hooks"))


def test_a_plugin_without_a_summary_is_found(subject_of):
    class Net(Backbone):
        """A network."""

        name = "net"

        def build(self, image, num_classes): ...

    with pytest.raises(AssertionError, match="must have a summary"):
        common.check_is_documented(subject_of("backbone", Net, summary=" "))


def test_the_kit_needs_neither_pytest_nor_keras_to_be_imported():
    code = (
        "import sys\n"
        "for name in ('pytest', 'keras', 'tensorflow'): sys.modules[name] = None\n"
        "from medsynth.testing import Subject, run_checks\n"
        "outcomes = list(run_checks(Subject(kind='metric', name='f1', options={'resamples': 20})))\n"
        "assert outcomes and all(outcome.passed for outcome in outcomes), outcomes\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
