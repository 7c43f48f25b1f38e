"""Docstrings as Markdown, for the reference pages.

The docstrings are written for people who read the source: ``:func:`name``` roles, ``::`` before a literal block, bare
doctests, and lists within lists by two spaces. This extension of griffe (which mkdocstrings reads the package with)
says the same in Markdown. A role becomes a link wherever the reference has its target, and plain code elsewhere.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import griffe

__all__ = ["DocstringsAsMarkdown", "as_markdown"]

_ROLE = re.compile(r":(?:func|class|meth|data|attr|mod|exc):`(~?)([\w.]+)`")
_LITERAL = re.compile(r"::$", re.MULTILINE)
_NESTED = re.compile(r"^ {2}\* ", re.MULTILINE)
_DOCTEST = re.compile(r"(?:^ *(?:>>>|\.\.\. ).*\n?|(?<=\n) *\.\.\.\n)(?:^ *\S.*\n?)*", re.MULTILINE)


class DocstringsAsMarkdown(griffe.Extension):
    """Rewrites every docstring once the whole package is known."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:  # noqa: ARG002
        """Called by griffe for each object."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value, obj)


def as_markdown(text: str, obj: griffe.Object) -> str:
    """A docstring of ``obj`` as Markdown."""

    def link(found: re.Match[str]) -> str:
        tilde, target = found.groups()
        shown = target.rpartition(".")[2] if tilde else target
        path = target
        with suppress(griffe.GriffeError):
            path = obj.resolve(target) if not target.startswith("medsynth.") else target
        return f'<autoref identifier="{path}" optional><code>{shown}</code></autoref>'

    text = _DOCTEST.sub(_fence, _LITERAL.sub(":", _ROLE.sub(link, text)))
    if _NESTED.search(text):  # Markdown wants four spaces.
        text = re.sub(r"^ +", lambda spaces: 2 * spaces[0], text, flags=re.MULTILINE)
    return text


def _fence(found: re.Match[str]) -> str:
    block = found[0].rstrip("\n")
    indent = block[: len(block) - len(block.lstrip())]
    return f"{indent}```pycon\n{block}\n{indent}```\n"
