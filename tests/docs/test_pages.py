"""Every page, from its first line to its last: Python blocks run, ``medsynth`` commands parse and, if cheap, run.

On a page, blocks share one namespace and one folder (see conftest.py). A block of TOML or CSV with a title is written
to the file of that name. ``<!-- docs-test: skip, REASON -->`` above a block keeps it from running, and ``parse only``
keeps its commands from running; both are still parsed.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from medsynth.cli.main import app, run

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PYTHON, COMMANDS, FILES = {"python", "py"}, {"console", "bash", "sh", "shell"}, {"toml", "csv"}

# They train for minutes, or run a whole kit: `bench` shows their Python in miniature, and other tests run them.
TOO_LONG = (("quickstart",), ("run",), ("train",), ("plugins", "check"))

_FENCE = re.compile(
    r"(?:<!-- docs-test: (?P<mark>[^>]+?) -->\s*\n)?"
    r"^(?P<indent> *)```(?P<language>\w+)(?P<head>[^\n]*)\n(?P<body>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    title: str | None
    mark: str
    body: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            line=text.count("\n", 0, found.start("body")) + 1,
            language=found["language"],
            title=title[1] if (title := re.search(r'title="([^"]+)"', found["head"])) else None,
            mark=found["mark"] or "",
            body=textwrap.dedent(found["body"]),
        )
        for found in _FENCE.finditer(text)
    ]


def commands_of(block: Block) -> list[list[str]]:
    """The arguments of every ``medsynth`` command in a block of commands; its output, if shown, is passed over."""
    lines = block.body.replace("\\\n", " ").splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    commands = []
    for line in lines:
        words = shlex.split(line, comments=True)
        while words and re.match(r"\w+=", words[0]):
            del words[0]
        if words and Path(words[0]).name == "medsynth":
            commands.append(words[1:])
    return commands


ALL = [block for page in PAGES for block in blocks_of(page)]
WITH_COMMANDS = [block for block in ALL if block.language in COMMANDS and commands_of(block)]


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _to_run(page: Path) -> list[Block]:
    """Blocks that do something: what is included from tested files, and what is skipped with a reason, does not."""
    return [
        block
        for block in blocks_of(page)
        if "--8<--" not in block.body
        and not block.mark.startswith("skip")
        and (block.language in PYTHON | COMMANDS or (block.language in FILES and block.title))
    ]


@pytest.mark.parametrize("page", [page for page in PAGES if _to_run(page)], ids=_name)
def test_page_runs(page, bench):
    if "dicom/" in page.read_text(encoding="utf-8") and not (bench / "dicom").exists():
        pytest.skip("pydicom is not installed")
    namespace = {"__name__": "__main__"}
    for block in _to_run(page):
        if block.language in FILES:
            (bench / block.title).write_text(block.body, encoding="utf-8")
        elif block.language in PYTHON:
            # The line numbers of a traceback are those of the page.
            code = compile("\n" * (block.line - 1) + block.body, str(page), "exec")
            exec(code, namespace)
        elif not block.mark:
            for arguments in commands_of(block):
                fine = {0, 1} if arguments == ["doctor"] else {0}  # What it finds is not the page's fault.
                if not any(tuple(arguments[: len(verb)]) == verb for verb in TOO_LONG):
                    assert run(arguments) in fine, f"{block.where}: medsynth {shlex.join(arguments)}"


@pytest.mark.parametrize("block", WITH_COMMANDS, ids=lambda block: block.where)
def test_commands_parse(block):
    for arguments in commands_of(block):
        context = _parse(typer.main.get_command(app), "medsynth", arguments)
        assert context.command.callback is not None, f"{block.where}: {shlex.join(arguments)} names no command"


def _parse(command, name, arguments, parent=None):
    """The context of the innermost command; an unknown command, option or value raises."""
    context = command.make_context(name, list(arguments), parent=parent)
    if not hasattr(command, "commands"):
        return context
    rest = [*context._protected_args, *context.args]
    name, subcommand, rest = command.resolve_command(context, rest)
    return _parse(subcommand, name, rest, context)


@pytest.mark.parametrize("block", [block for block in ALL if block.mark], ids=lambda block: block.where)
def test_marks_give_a_reason(block):
    assert re.fullmatch(r"(skip|parse only), .{8,}", block.mark), f"{block.where}: {block.mark}"
    if block.language in PYTHON:
        compile(block.body, block.where, "exec")


def test_included_files_exist():
    included = [(block, path) for block in ALL for path in re.findall(r'--8<-- "([^"]+)"', block.body)]
    assert {path.split("/")[1] for _, path in included} >= {"medsynth-tiny-cnn", "medsynth-ms-ssim"}
    for block, path in included:
        assert (ROOT / path).is_file(), f"{block.where}: {path}"


def test_a_misspelt_option_would_be_seen():
    with pytest.raises(Exception, match="--bach-size"):
        _parse(typer.main.get_command(app), "medsynth", ["infer", "m.onnx", "s/", "--out", "t.csv", "--bach-size", "2"])
    with pytest.raises(Exception, match="infr"):
        _parse(typer.main.get_command(app), "medsynth", ["infr", "m.onnx"])
