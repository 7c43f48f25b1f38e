"""What ``--help`` shows is what the commands say of themselves: no bracket taken for markup, no text cut off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from medsynth.cli.main import app


def _leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, each in getattr(command, "commands", {}).items():
        yield from _leaves(each, (*path, name))
    if not hasattr(command, "commands"):
        yield path, command


LEAVES = dict(_leaves(typer.main.get_command(app)))


def _words(text: str) -> str:
    """Without frames, colours and line ends."""
    return re.sub(r"\s+", "", re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", "", text))


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_shows_all_that_a_command_says_of_itself(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    # Wide enough that no text is broken where another column goes on.
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("TERMINAL_WIDTH", "400")

    shown = _words(CliRunner().invoke(app, [*path, "--help"]).output)

    command = LEAVES[path]
    said = [command.help, *(parameter.help for parameter in command.params)]
    assert command.help
    for text in said:
        assert _words(text or "") in shown
    for parameter in command.params:
        if isinstance(parameter.show_default, str):
            assert f"[default:({_words(parameter.show_default)})]" in shown
