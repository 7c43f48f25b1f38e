"""What is generated is up to date, and the site builds without a warning."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def _module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_line_page_says_what_the_command_line_says():
    generated = _module(DOCS / "generate_cli.py")
    assert generated.PAGE.read_text(encoding="utf-8") == generated.render(), "run: python docs/generate_cli.py"


def test_the_command_line_page_does_not_depend_on_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("NO_COLOR", "1")
    generated = _module(DOCS / "generate_cli.py")
    assert generated.render() == generated.PAGE.read_text(encoding="utf-8")


def test_the_site_builds(tmp_path):
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    pytest.importorskip("mkdocstrings", reason="mkdocstrings is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "reference" / "plugins" / "index.html").read_text(encoding="utf-8")
    assert "trained_parts" in page
    assert ":class:`" not in page
    assert not list((tmp_path / "site").rglob("*.py"))


def test_roles_and_doctests_become_markdown():
    griffe = pytest.importorskip("griffe")
    as_markdown = _module(DOCS / "griffe_docstrings.py").as_markdown
    module = griffe.Module("box")
    module.set_member("Lid", griffe.Class("Lid", parent=module))
    text = "See :class:`Lid` and :func:`~other.place.put`, like so::\n\n    code\n\n>>> 1 + 1\n2\n\nEnd."
    assert as_markdown(text, module) == (
        'See <autoref identifier="box.Lid" optional><code>Lid</code></autoref> and '
        '<autoref identifier="other.place.put" optional><code>put</code></autoref>, like so:\n\n    code\n\n'
        "```pycon\n>>> 1 + 1\n2\n```\n\nEnd."
    )


def test_the_generator_of_the_how_to_page_keeps_the_contract(monkeypatch):
    from medsynth.plugins import PluginSource, Registry
    from medsynth.testing import Subject, run_checks

    monkeypatch.syspath_prepend(DOCS / "examples")
    module = "medsynth_tiny_gan.hooks"
    load = functools.partial(importlib.import_module, module)
    registry = Registry()
    registry.add(PluginSource(plugin="tiny-gan", distribution="docs", version="0", module=module, load=load))
    assert not registry.failures
    for outcome in run_checks(Subject(kind="generator", name="tiny-gan", registry=registry)):
        assert outcome.passed, f"{outcome.name}: {outcome.detail}"
