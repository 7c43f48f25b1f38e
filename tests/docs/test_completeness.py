"""Nothing that a user can call is missing from the documentation, and nothing is in it that must not be."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import typer

import medsynth
import medsynth.errors
import medsynth.plugins
import medsynth.testing
from medsynth.cli.main import app
from medsynth.plugins.hookspecs import MedsynthHooks

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
REFERENCE = "\n".join(page.read_text(encoding="utf-8") for page in sorted((DOCS / "reference").glob("*.md")))
VERBS = sorted(typer.main.get_command(app).commands)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_how_to_page(verb):
    page = DOCS / ("tutorial" if verb == "quickstart" else "how-to") / f"{verb}.md"
    assert f"medsynth {verb}" in page.read_text(encoding="utf-8")


def test_every_how_to_page_is_in_the_index():
    index = (DOCS / "how-to" / "index.md").read_text(encoding="utf-8")
    assert {page.name for page in (DOCS / "how-to").glob("*.md")} - {"index.md"} == set(
        re.findall(r"\((\S+\.md)\)", index)
    )


@pytest.mark.parametrize("name", medsynth.__all__)
def test_every_public_name_is_in_the_reference(name):
    page = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    assert re.search(rf"^::: medsynth\.\w+\.{name}$|`medsynth\.{name}`", page, re.MULTILINE)


@pytest.mark.parametrize("module", ["plugins", "testing"])
def test_every_name_of_what_plugin_authors_import_is_in_the_reference(module):
    page = (DOCS / "reference" / f"{module}.md").read_text(encoding="utf-8")
    for name in importlib.import_module(f"medsynth.{module}").__all__:
        assert re.search(rf"^::: medsynth\.{module}\.{name}$|`medsynth\.{module}\.{name}`", page, re.MULTILINE), name


def test_every_error_is_in_the_reference():
    page = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    assert "::: medsynth.errors\n" in page
    errors = [name for name in medsynth.errors.__all__ if name.endswith("Error")]
    assert all(getattr(medsynth.errors, name).__doc__ for name in errors)


HOOKS = [name for name in dir(MedsynthHooks) if name.startswith("medsynth_")]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_explained(hook):
    assert hook in (DOCS / "how-to" / "write-a-plugin.md").read_text(encoding="utf-8")
    assert getattr(MedsynthHooks, hook).__doc__


def test_every_documented_object_exists():
    """mkdocs checks this too, where it is installed."""
    for path in re.findall(r"^::: (\S+)$", REFERENCE, re.MULTILINE):
        try:
            importlib.import_module(path)
        except ModuleNotFoundError:
            module, _, name = path.rpartition(".")
            assert hasattr(importlib.import_module(module), name), path


FORBIDDEN = {
    "the other project of our name": r"pip install (?:-\S+ )*['\"]?medsynth(?![-\w])",
    "a path of a machine": r"(?<![\w.:/])/(?:home|root|work|tmp|Users|opt|mnt)/",
    "a package index": r"pypi\.org|pythonhosted|simple/",
}


@pytest.mark.parametrize("page", [*PAGES, DOCS.parent / "README.md"], ids=lambda page: page.name)
def test_no_page_says_what_it_must_not(page):
    text = page.read_text(encoding="utf-8")
    for what, pattern in FORBIDDEN.items():
        assert not re.search(pattern, text), f"{page.name} has {what}"
