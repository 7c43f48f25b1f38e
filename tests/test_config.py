from __future__ import annotations

import tomllib

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from medsynth.config import ClassifierConfig, GeneratorConfig, parse_assignments, read_toml
from medsynth.errors import ConfigError


def test_settings_are_sorted_from_plugin_options():
    config = ClassifierConfig.from_settings({"epochs": 3, "head": "fc4096", "options": {"width": 0.5}})
    assert config.epochs == 3
    assert dict(config.options) == {"head": "fc4096", "width": 0.5}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epochs": 0}, "at least 1"),
        ({"epochs": "five"}, "a whole number"),
        ({"epochs": True}, "a whole number"),
        ({"batch_size": 1}, "at least 2"),
        ({"image_size": 4}, "at least 8"),
        ({"seed": -1}, "at least 0"),
        ({"seed": 2**32}, "at most 4294967295"),
        ({"learning_rate": float("nan")}, "finite"),
        ({"options": 5}, "a table of the plugin's options"),
        ({"channels": 2}, "1 or 3"),
        ({"learning_rate": 0}, "above 0"),
        ({"cache_gb": float("inf")}, "finite"),
        ({"cache_gb": -1.0}, "at least 0"),
        ({"augmentation": 1}, "true or false"),
        ({"class_weight": "heavy"}, "'balanced' or 'none'"),
    ],
)
def test_a_value_that_cannot_be_names_the_option_and_what_it_must_be(settings, said):
    with pytest.raises(ConfigError, match=said) as caught:
        ClassifierConfig.from_settings(settings)
    assert next(iter(settings)) in str(caught.value)


@given(
    st.builds(
        GeneratorConfig,
        steps=st.integers(1, 10**6),
        sample_every=st.integers(0, 1000),
        channels=st.sampled_from([None, 1, 3]),
        options=st.dictionaries(
            st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.integers() | st.booleans() | st.text()
        ),
    )
)
def test_toml_there_and_back(config):
    text = tomli_w.dumps(config.to_dict())
    assert GeneratorConfig.from_settings(tomllib.loads(text)) == config


def test_assignments_need_a_key_and_a_value():
    for wrong in ("epochs", "=5", ""):
        with pytest.raises(ConfigError, match="key=value"):
            parse_assignments([wrong])
    assert parse_assignments(["weights=../a=b.h5"]) == {"weights": "../a=b.h5"}


def test_a_configuration_file_explains_what_it_may_hold(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("[classifer]\nepochs = 1\n")
    with pytest.raises(ConfigError, match="Did you mean 'classifier'"):
        read_toml(path)
    path.write_text("epochs = [")
    with pytest.raises(ConfigError, match="not a TOML file"):
        read_toml(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml(tmp_path / "absent.toml")
    for wrong in ("reference = [1]", 'reference = [{label = "a"}, "b"]'):
        path.write_text(wrong)
        with pytest.raises(ConfigError, match=r"reference must hold tables, .* Got (1|'b') in its place"):
            read_toml(path)
    path.write_text("[classifier]\nepochs = 1\n")
    assert read_toml(path) == {"classifier": {"epochs": 1}, "generator": {}, "reference": []}
