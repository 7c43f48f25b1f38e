"""The whole report in a real browser, under an accessibility checker and an HTML validator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medsynth.dataset import audit_dataset
from medsynth.evaluate import write_report

ROOT = Path(__file__).resolve().parents[3]
MODULES = Path(os.environ.get("MEDSYNTH_NODE_MODULES", ROOT / "node_modules"))

OVERFLOW = """
(() => {
  const width = document.documentElement.clientWidth;
  const inScroll = (element) => element.closest(".scroll") !== null;
  const wide = [...document.body.querySelectorAll("*")]
    .filter((element) => !inScroll(element) && element.getBoundingClientRect().right > width + 1)
    .map((element) => element.tagName + "." + element.className);
  const scrolled = [...document.querySelectorAll(".scroll")]
    .filter((element) => element.scrollWidth > element.clientWidth + 1)
    .map((element) => element.innerText.slice(0, 60));
  return {page: document.documentElement.scrollWidth - width, wide: wide.slice(0, 5), scrolled};
})()
"""
PICTURES = """
Promise.all([...document.images].map((image) => image.decode().then(() => null, () => image.alt)))
  .then((found) => ({count: found.length, broken: found.filter((alt) => alt !== null)}))
"""
SMALLEST = """
Math.min(...[...document.body.querySelectorAll("p, td, th, li, dd, dt, small, figcaption")]
  .filter((element) => element.checkVisibility()).map((element) => parseFloat(getComputedStyle(element).fontSize)))
"""


@pytest.fixture(scope="module")
def page(report, data, tmp_path_factory):
    """The report of both parts with the audit and training curves."""
    run = tmp_path_factory.mktemp("run")
    lines = [{"epoch": e, "loss": 1 / (e + 1), "val_loss": 1.0, "val_accuracy": 0.5, "val_auc": 0.6} for e in range(4)]
    (run / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    classifier = replace(report.classifier, run=run)
    whole = replace(report, classifier=classifier, audit=audit_dataset(data))
    return write_report(tmp_path_factory.mktemp("page"), whole)


def node_package(name):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not (MODULES / name).is_dir():
        pytest.skip(
            f"{name} is not installed: npm install --prefix FOLDER {name}, MEDSYNTH_NODE_MODULES=FOLDER/node_modules"
        )
    return MODULES / name


@pytest.mark.parametrize("width", [1280, 400])
def test_it_can_be_read_at_any_width(browser, page, width):
    browser.open(page.as_uri(), width)
    assert browser.complaints() == []
    pictures = browser.evaluate(PICTURES)
    assert pictures["count"] > 5
    assert pictures["broken"] == []
    overflow = browser.evaluate(OVERFLOW)
    assert overflow["page"] <= 0, overflow
    assert overflow["wide"] == []
    if width == 1280:
        assert overflow["scrolled"] == []
    assert browser.evaluate(SMALLEST) >= 11


def test_it_opens_fast_and_is_small(browser, page):
    seconds = min(browser.open(page.as_uri(), 1280) for _ in range(3))
    assert seconds < 2
    assert page.stat().st_size < 10e6


def test_it_prints(browser, page):
    browser.open(page.as_uri(), 1280)
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    assert 3 <= pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") <= 40


def test_both_colour_schemes_draw_something(browser, page):
    shades = []
    for scheme in ("light", "dark"):
        browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.open(page.as_uri(), 1280)
        colour = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        shades.append(np.mean([int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]))
    browser.ask("Emulation.setEmulatedMedia", features=[])
    assert shades[0] > 200 > 60 > shades[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screen_reader_finds_its_way(browser, page, scheme):
    axe = (node_package("axe-core") / "axe.min.js").read_text(encoding="utf-8")
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open(page.as_uri(), 1280)
    browser.evaluate(axe + "; undefined")
    found = browser.evaluate("axe.run(document).then((result) => result.violations)")
    browser.ask("Emulation.setEmulatedMedia", features=[])
    assert [(each["id"], [node["html"][:120] for node in each["nodes"]][:3]) for each in found] == []


def test_its_markup_is_valid(page, tmp_path):
    node_package("html-validate")
    rules = {
        "extends": ["html-validate:standard"],
        "root": True,
        # Style of writing, not validity: the shade of a cell and SVG pictures are data.
        "rules": {"no-inline-style": "off", "long-title": "off"},
    }
    (tmp_path / ".htmlvalidate.json").write_text(json.dumps(rules))
    (tmp_path / "report.html").write_bytes(page.read_bytes())
    script = MODULES / "html-validate" / "bin" / "html-validate.mjs"
    command = ["node", script, "--config", tmp_path / ".htmlvalidate.json", tmp_path / "report.html"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-1000:]
