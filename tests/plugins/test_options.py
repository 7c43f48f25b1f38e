"""Options: unknown names, wrong plain types, and what `plugins show` tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from medsynth.errors import ConfigError
from medsynth.plugins.options import check_options, describe_options

if TYPE_CHECKING:
    from somewhere_else import Unresolvable


class Plugin:
    """A plugin.

    Args:
        head: Which head;
            in two lines.
        rate: Of dropout (0 to 1): none by default.
    """

    def __init__(
        self,
        *,
        head: Literal["gap", "fc4096"] = "gap",
        rate: float = 0.0,
        layers: int = 3,
        limit: int | None = None,
        plain: bool = False,
        note: str = "",
        sizes: tuple[int, ...] = (1, 2),
        foreign: Unresolvable | None = None,
        untyped=None,
    ) -> None: ...


GOOD = [
    ("head", "fc4096"),
    ("rate", 0.5),
    ("rate", 1),
    ("layers", 4),
    ("limit", None),
    ("limit", 3),
    ("plain", True),
    ("note", "x"),
    ("sizes", [1, 2]),
    ("foreign", "anything"),
    ("untyped", 3.5),
]
BAD = [
    ("head", "fc40", r"option 'head' must be 'gap' or 'fc4096'. Got 'fc40' \(str\)"),
    ("rate", "high", r"option 'rate' must be a number. Got 'high' \(str\)"),
    ("rate", True, r"option 'rate' must be a number. Got True \(bool\)"),
    ("layers", 2.5, r"option 'layers' must be a whole number. Got 2.5 \(float\)"),
    ("layers", False, r"option 'layers' must be a whole number. Got False \(bool\)"),
    ("limit", "few", r"option 'limit' must be a whole number or left out. Got 'few' \(str\)"),
    ("plain", 1, r"option 'plain' must be true or false. Got 1 \(int\)"),
    ("note", 7, r"option 'note' must be text. Got 7 \(int\)"),
]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_values_that_fit_pass(name, value):
    check_options(Plugin, {name: value}, "backbone 'x'")


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_values_of_another_type_are_named(name, value, message):
    with pytest.raises(ConfigError, match=f"^backbone 'x': {message}"):
        check_options(Plugin, {name: value}, "backbone 'x'")


def test_an_unknown_option_lists_the_valid_ones():
    with pytest.raises(
        ConfigError, match=r"backbone 'x' has no option 'layer'. Did you mean 'layers'\? It has: foreign, "
    ):
        check_options(Plugin, {"layer": 3}, "backbone 'x'")


def test_a_plugin_without_options_says_none():
    class Bare: ...

    with pytest.raises(ConfigError, match=r"has no option 'width'. It has: none"):
        check_options(Bare, {"width": 3}, "metric 'bare'")


def test_options_are_described_from_the_docstring():
    options = {option.name: option for option in describe_options(Plugin)}
    assert options["head"].doc == "Which head; in two lines."
    assert options["rate"].doc == "Of dropout (0 to 1): none by default."
    assert options["layers"].doc == ""
    assert (options["limit"].default, options["limit"].type) == (None, "a whole number or left out")
    assert options["untyped"].type == "anything"
