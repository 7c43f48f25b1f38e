"""``medsynth plugins``: what it prints, and its exit codes with every broken plugin installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medsynth.cli.plugins import app
from medsynth.errors import CheckFailedError, ConfigError, UnknownPluginError
from medsynth.plugins import PLUGIN_API, registry

BROKEN = Path(__file__).parents[1] / "plugins" / "fixtures"


def call(*arguments):
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    if result.exception is not None:
        raise result.exception
    return result.stdout


def medsynth(*arguments, **environ):
    command = [sys.executable, "-c", "from medsynth.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environ})


def test_list_shows_every_plugin():
    printed = call("list")
    for record in registry().records():
        assert record.name in printed
        assert record.distribution in printed


def test_list_as_json():
    listing = json.loads(call("list", "--json", "--strict"))
    assert (listing["schema"], listing["api"], listing["failures"]) == (1, PLUGIN_API, [])
    assert {
        "kind": "generator",
        "name": "acgan",
        "distribution": "medsynth-core",
        "version": registry().provenance("generator", "acgan")["version"],
        "summary": registry().record("generator", "acgan").summary,
        "api": 1,
        "hooks": "medsynth.default_plugins.hooks",
    } in listing["plugins"]


def test_list_goes_on_beside_broken_plugins():
    done = medsynth("plugins", "list", "--json", PYTHONPATH=str(BROKEN))
    assert done.returncode == 0
    listing = json.loads(done.stdout)
    assert {"vgg16", "acgan", "auc", "stranger-net"} <= {plugin["name"] for plugin in listing["plugins"]}
    lines = done.stderr.splitlines()
    assert len(lines) == len(listing["failures"]) > 10
    for failure in listing["failures"]:
        (line,) = (line for line in lines if f"plugin '{failure['plugin']}' of {failure['distribution']} " in line)
        assert failure["error"] in line


def test_strict_list_fails_with_broken_plugins():
    done = medsynth("plugins", "list", "--strict", PYTHONPATH=str(BROKEN), MEDSYNTH_LOAD_PLUGINS="future-api")
    assert done.returncode == 1
    assert "future-api" in done.stdout
    assert "was written for plugin API 2" in done.stderr.splitlines()[0]
    assert done.stderr.splitlines()[-1].startswith("medsynth: 1 left out: future-api.")


def test_show_tells_options_and_origin():
    printed = call("show", "vgg16")
    assert "backbone vgg16: VGG16 with ImageNet weights" in printed
    assert "from medsynth-core" in printed
    assert "'gap' or 'fc4096'" in printed
    assert "Rate before the last dense layer" in printed


def test_show_tells_what_a_metric_takes():
    assert "takes probabilities; lower is better; punishes noise" in call("show", "log-loss")


def test_an_unknown_name_is_bad_input():
    with pytest.raises(UnknownPluginError, match="Did you mean 'vgg16'"):
        call("show", "vgg61")


def test_check_runs_the_kit():
    printed = call("check", "f1", "-O", "resamples=20")
    assert "check_calls_the_defect_worse" in printed
    assert "FAILED" not in printed


def test_check_fails_where_a_check_does(monkeypatch):
    from medsynth.testing import metric

    def check_of_the_impossible(subject):
        raise AssertionError("two is not three")

    monkeypatch.setattr(metric, "CHECKS", (check_of_the_impossible,))
    result = CliRunner().invoke(app, ["check", "f1"], env={"COLUMNS": "200"})
    assert "two is not three" in result.stdout
    assert isinstance(result.exception, CheckFailedError)
    assert str(result.exception) == "'f1' fails 1 of its checks: check_of_the_impossible."


def test_check_refuses_an_option_that_the_plugin_does_not_have():
    with pytest.raises(ConfigError, match=r"metric 'f1' has no option 'resample'. Did you mean 'resamples'\?"):
        call("check", "f1", "-O", "resample=20")


def test_check_refuses_an_option_without_a_value():
    with pytest.raises(ConfigError, match="key=value"):
        call("check", "f1", "-O", "resamples")
