"""Writes ``docs/reference/cli.md`` from the command line itself: ``python docs/generate_cli.py``.

The page depends on the commands alone, not on the terminal; a test fails when it is out of date.
"""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from medsynth.cli.main import app

__all__ = ["PAGE", "render"]

PAGE = Path(__file__).parent / "reference" / "cli.md"

_HEAD = """\
# Command line

<!-- Written by docs/generate_cli.py from the commands themselves: change their help texts, not this page. -->

    dataset -> train -> export -> infer / generate -> evaluate -> benchmark

Options may stand before or after the arguments. `--help` after any command shows the same text as this page.

| Exit status | Meaning |
| --- | --- |
| 0 | Done. |
| 1 | A check that ran and did not pass. |
| 2 | Bad input: one line on standard error says what is wrong, what it must be, what it got and how to mend it. |
| 3 | An internal error: please report it, with the output of the same command and `--debug`. |
| 130 | Interrupted. |

Results go to standard output, progress and warnings to standard error.
"""

_WORDS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


def render() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_sections(typer.main.get_command(app), "medsynth")])


def _sections(command: Any, path: str) -> Iterator[str]:
    if (subcommands := getattr(command, "commands", None)) is None:
        yield from _section(command, path)
        return
    yield f"## {path}\n\n{_prose(command.help)}\n"
    yield from _table("Option", [_row(command, parameter) for parameter in command.params])
    for name, subcommand in subcommands.items():
        yield from _sections(subcommand, f"{path} {name}")


def _section(command: Any, path: str) -> Iterator[str]:
    text, _, example = inspect.cleandoc(command.help).partition("Example: ")
    yield f"## {path}\n\n{_prose(text)}\n"
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    needed = [f"{each.opts[0]} {_word(command, each)}" for each in options if each.required]
    optional = ["[options]"] if len(needed) < len(options) else []
    usage = [path, *(_name(command, each) for each in arguments), *needed, *optional]
    yield f"```text\n{' '.join(usage)}\n```\n"
    yield from _table("Argument", [_row(command, each) for each in arguments])
    yield from _table("Option", [_row(command, each) for each in options])
    if example:
        yield f"Example:\n\n```text\n{example.strip()}\n```\n"


def _prose(text: str) -> str:
    return inspect.cleandoc(text).replace("->", "→").strip()


def _table(head: str, rows: list[tuple[str, str, str]]) -> Iterator[str]:
    if rows:
        lines = [f"| {head} | Meaning | Default |", "| --- | --- | --- |"]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        yield "\n".join(lines) + "\n"


def _row(command: Any, parameter: Any) -> tuple[str, str, str]:
    name = f"`{_name(command, parameter)}`"
    help_text = " ".join((parameter.help or "").split())
    limits = [f"at least {parameter.min}"] if getattr(parameter, "min", None) is not None else []
    limits += [f"at most {parameter.max}"] if getattr(parameter, "max", None) is not None else []
    if limits:
        help_text = f"{help_text.rstrip('.')}; {', '.join(limits)}."
    return name, help_text, _default(parameter)


def _name(command: Any, parameter: Any) -> str:
    word = _word(command, parameter)
    if parameter.param_type_name == "argument":
        return word if parameter.nargs == 1 else f"{word}..."
    return ", ".join(parameter.opts) if parameter.is_flag else f"{', '.join(parameter.opts)} {word}"


def _word(command: Any, parameter: Any) -> str:
    """What stands for the value: the placeholder that the command gives, else one for the type."""
    if parameter.metavar:
        return str(parameter.metavar)
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    kind = _plain(typing.get_type_hints(command.callback)[parameter.name])
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "|".join(member.value for member in kind)
    return _WORDS.get(kind, "TEXT")


def _plain(hint: Any) -> Any:
    """The type within ``T | None`` and ``list[T]``."""
    if isinstance(hint, types.UnionType):
        hint = next(arm for arm in typing.get_args(hint) if arm is not type(None))
    return typing.get_args(hint)[0] if typing.get_origin(hint) in {list, tuple} else hint


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if parameter.default is None or parameter.default is False:
        return ""
    return f"`{parameter.default}`"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
