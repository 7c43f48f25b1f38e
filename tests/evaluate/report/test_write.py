"""The page as a reader, a browser and a screen reader meet it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from medsynth.dataset import Audit, Finding, Skipped
from medsynth.errors import OutputError
from medsynth.evaluate import (
    DataSummary,
    Reference,
    Report,
    evaluate_classifier,
    evaluate_generator,
    write_report,
)
from medsynth.evaluate.plugin_metrics import MetricRow
from medsynth.evaluate.report import figures, map_figure
from medsynth.evaluate.report.page import render_page
from medsynth.metrics import Estimate


@pytest.fixture
def undrawn(monkeypatch):
    """Charts as empty pictures, for tests of the words: drawing takes most of the time."""
    for module in (figures, map_figure):
        monkeypatch.setattr(module, "svg", lambda figure: "<svg></svg>")


VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Elements with their attributes, texts by element, and whether every element is closed."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.stack, self.texts = [], [], []
        self.feed(html)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1] not in {"style", "title"} and data.strip():
            self.texts.append(" ".join(data.split()))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(self.texts)


@pytest.fixture
def runs(tmp_path, data):
    """Folders as training leaves them."""
    classifier, generator = tmp_path / "run-c", tmp_path / "run-g"
    for folder in (classifier, generator):
        folder.mkdir()
    epochs = [{"epoch": e, "loss": 1 / (e + 1), "val_loss": 1.0, "val_accuracy": 0.5, "val_auc": 0.6} for e in range(4)]
    steps = [{"step": s, "seconds": s, "generator_loss": 1.0, "real_accuracy": 0.5} for s in range(30)]
    for folder, rows in ((classifier, epochs), (generator, steps)):
        (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in data.classes:
        Image.new("L", (160, 64)).save(generator / f"filmstrip-{name}.png")
    return classifier, generator


def test_both_files_hold_the_same_numbers(report, tmp_path):
    page = write_report(tmp_path / "out", report)
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["schema"] == 1
    text = Page(page.read_text(encoding="utf-8")).text
    for part in ("classifier", "generator"):
        for estimate in written[part]["overall"].values():
            assert f"{estimate['value']:.3f}" in text
            assert f"{estimate['low']:.3f} to {estimate['high']:.3f}" in text
    for row in written["classifier"]["confusion"]:
        assert all(str(count) in text for count in row)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["metrics.json", "report.html"]


def test_nothing_comes_from_elsewhere(report, runs):
    whole = replace(report, classifier=replace(report.classifier, run=runs[0]))
    html = render_page(replace(whole, generator=replace(report.generator, run=runs[1])))
    page = Page(html)
    assert len(html) < 10e6
    assert not page.all("script")
    assert not page.all("iframe")
    addresses = [
        value for _, attributes in page.elements for key, value in attributes.items() if key in {"src", "href"}
    ]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "@import" not in html
    assert not re.search(r"url\((?!['\"]?data:)", html)


def test_it_can_be_read_without_eyes(report, runs):
    page = Page(render_page(replace(report, generator=replace(report.generator, run=runs[1]))))
    assert page.all("html")[0]["lang"] == "en"
    assert all(len(image["alt"]) > 10 for image in page.all("img"))
    assert all(header["scope"] in {"col", "row"} for header in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    anchors = {link["href"][1:] for link in page.all("a")}
    assert anchors <= set(ids)
    assert len(page.all("h1")) == 1


def test_sections_are_those_that_were_given(report):
    def keys(given):
        return [attributes["id"] for attributes in Page(render_page(given)).all("section")]

    both = ["utility", "privacy", "limits", "provenance"]
    assert keys(report) == ["summary", "data", "classifier", "generator", *both]
    assert keys(replace(report, generator=None)) == ["summary", "data", "classifier", "limits", "provenance"]
    assert keys(replace(report, classifier=None)) == ["summary", "data", "generator", *both]


@pytest.mark.usefixtures("undrawn")
def test_three_classes_are_told_class_by_class(load, shades):
    classifier = load("shades-classifier.onnx")
    report = Report(
        data=DataSummary.of(shades),
        classifier=evaluate_classifier(classifier, shades),
        generator=evaluate_generator(load("shades-generator.onnx"), shades, classifier, count=30),
    )
    text = Page(render_page(report)).text
    assert "tells dark, grey and light apart with a mean one-against-rest AUC" in text
    assert "The class that it misses most is" in text
    assert text.count("Each class against the rest") == 2
    assert "Specificity" not in text
    assert "name no groups (patients)" in text


@pytest.mark.usefixtures("undrawn")
def test_the_summary_says_what_the_numbers_say(report):
    text = Page(render_page(report)).text
    scores = report.classifier.scores
    hits, missed = scores.confusion[1, 1], scores.confusion[1, 0]
    assert f"it finds {hits} of {hits + missed} opacity images" in text
    assert "that took no part in training" in text
    assert f"Of 40 generated images, the classifier recognises {100 * scores_of(report.generator):.1f}" in text
    elsewhere = Page(render_page(replace(report, classifier=replace(report.classifier, familiar=False, uses=3)))).text
    assert "that took no part in training" not in elsewhere
    assert "used 3 times" in elsewhere


def scores_of(part):
    return part.scores.overall["accuracy"].value


@pytest.mark.usefixtures("undrawn")
def test_chance_is_called_chance(report):
    overall = dict(report.generator.scores.overall)
    overall["accuracy"] = replace(overall["accuracy"], value=0.55, low=0.4, high=0.7)
    real = dict(report.classifier.scores.overall)
    for area, on_real, said in (
        (0.45, 0.8, "the generator has not learned what tells the classes apart"),
        (0.7, 0.8, "yet its probabilities tell the classes apart (AUC 0.800)"),
        (0.7, 0.5, "but neither is it on real test images: it says nothing of them"),
    ):
        overall["auc"] = Estimate(0.8, area, 0.9)
        real["accuracy"] = Estimate(0.85, on_real, 0.9)
        judged = replace(report.generator, scores=replace(report.generator.scores, overall=overall))
        tested = replace(report.classifier, scores=replace(report.classifier.scores, overall=real))
        text = Page(render_page(replace(report, generator=judged, classifier=tested))).text
        assert f"That is not better than chance, {said}" in text or f"not better than chance: {said}" in text


@pytest.mark.usefixtures("undrawn")
def test_an_optimistic_validation_is_told(report):
    model = replace(report.classifier.model, validation={"accuracy": 0.9999})
    overall = dict(report.classifier.scores.overall)
    overall["accuracy"] = replace(overall["accuracy"], value=0.7, low=0.6, high=0.8)
    scores = replace(report.classifier.scores, overall=overall)
    told = replace(report.classifier, model=model, scores=scores)
    assert "which is above the test part's interval" in Page(render_page(replace(report, classifier=told))).text


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("threshold", "temperature", "chosen"),
    [
        (0.4, 1.5, "the calibration and the threshold (and the epoch, where one was chosen)"),
        (None, 1.5, "the calibration (and the epoch, where one was chosen)"),
        (0.4, None, "the threshold (and the epoch, where one was chosen)"),
        (None, None, "the epoch, where one was chosen"),
    ],
)
def test_validation_numbers_are_called_optimistic(report, threshold, temperature, chosen):
    note = f"Validation: measured on the images that chose {chosen}, so slightly optimistic."
    model = replace(report.classifier.model, validation={"accuracy": 0.7}, threshold=threshold, temperature=temperature)
    overall = dict(report.classifier.scores.overall)
    overall["accuracy"] = replace(overall["accuracy"], value=0.7, low=0.6, high=0.8)
    scores = replace(report.classifier.scores, overall=overall)
    text = Page(render_page(replace(report, classifier=replace(report.classifier, model=model, scores=scores)))).text
    assert note in text
    assert f"70.0 % (slightly optimistic, because the same images chose {chosen}), in line with the test" in text
    bare = replace(report.classifier, model=replace(report.classifier.model, validation={}))
    without = Page(render_page(replace(report, classifier=bare, generator=None))).text
    assert "measured on the images that chose" not in without


@pytest.mark.usefixtures("undrawn")
def test_held_out_images_that_are_training_images_are_told(report):
    said = "images equal a training image. Limits for copies were measured without them"
    assert said not in Page(render_page(report)).text
    private = replace(report.generator.privacy, duplicates=2)
    text = Page(render_page(replace(report, generator=replace(report.generator, privacy=private)))).text
    assert f"2 of these {private.held_out} {said}" in text


@pytest.mark.usefixtures("undrawn")
def test_references_stand_beside_our_numbers(report):
    reference = Reference(
        label="Report A", note="Five epochs.", classifier={"accuracy": 0.7761}, generator={"f1": 0.6543}
    )
    text = Page(render_page(replace(report, references=(reference,)))).text
    assert "0.776" in text
    assert "0.654" in text
    assert text.count("Report A: Five epochs.") == 2


@pytest.mark.usefixtures("undrawn")
def test_a_failed_metric_is_shown(report):
    facts = {"summary": "Something.", "distribution": "stranger", "version": "3"}
    good = MetricRow(name="fine", real=0.25, per_class={1: 0.75}, **facts)
    bad = MetricRow(name="broken", error="RuntimeError: no luck", **facts)
    generator = replace(report.generator, metrics=(bad, good))
    text = Page(render_page(replace(report, generator=generator))).text
    assert "RuntimeError: no luck" in text
    assert "These metrics gave no number, and their rows say why: broken." in text
    assert "0.250" in text
    assert "0.750" in text


@pytest.mark.usefixtures("undrawn")
def test_what_is_missing_or_wrong_is_said(report):
    """Skipped files, plugins left out, findings of the audit, metrics of strangers, intervals that cannot be made."""
    skipped = (Skipped("a/broken.png", "the file is empty"),)
    estimates = {name: replace(one, low=None, high=None) for name, one in report.classifier.scores.overall.items()}
    stranger = MetricRow(
        name="their-score", summary="S.", distribution="stranger", version="3", estimate=Estimate(0.123)
    )
    classifier = replace(
        report.classifier,
        scores=replace(report.classifier.scores, overall=estimates, roc=(None, None)),
        predictions=replace(report.classifier.predictions, skipped=skipped),
        metrics=(stranger,),
        recorded=False,
    )
    finding = Finding(code="odd-size", severity="error", message="Odd.", evidence={}, advice="Mend it.")
    audit = Audit(source="phantom", images=96, parts={}, findings=(finding,))
    provenance = replace(report.provenance, plugins_left_out=("plugin 'x' of y is left out: why",))
    text = Page(render_page(replace(report, classifier=classifier, audit=audit, provenance=provenance))).text
    for said in (
        "1 file left out",
        "the file is empty",
        "their-score",
        "0.123",
        "could not be written down beside the model file",
        "problem odd-size Odd. Mend it.",
        "plugin 'x' of y is left out: why",
        "No intervals: they need at least two groups to resample",
    ):
        assert said in text, said
    assert (
        "The audit of the data found nothing"
        in Page(render_page(replace(report, audit=replace(audit, findings=())))).text
    )


@pytest.mark.parametrize(("made", "says"), [(0.3, "On real test images it is right for"), (0.99, "more typical")])
@pytest.mark.usefixtures("undrawn")
def test_generated_images_are_compared_with_real_ones(report, made, says):
    overall = dict(report.generator.scores.overall)
    overall["accuracy"] = Estimate(made, 0.6 if made < 0.5 else made, 1.0)
    generator = replace(report.generator, scores=replace(report.generator.scores, overall=overall))
    assert says in Page(render_page(replace(report, generator=generator))).text
    other_judge = replace(generator, classifier=replace(generator.classifier, content_hash="another"))
    assert "On real test images" not in Page(render_page(replace(report, generator=other_judge))).text


@pytest.mark.usefixtures("undrawn")
def test_real_images_can_be_left_out(report):
    shown, hidden = (
        Page(render_page(replace(report, generator=replace(report.generator, real=real))))
        for real in (report.generator.real, None)
    )
    assert len(shown.all("img")) - len(hidden.all("img")) == 2
    assert "This page shows real training images" in shown.text
    assert "This page shows real training images" not in hidden.text


@pytest.mark.usefixtures("undrawn")
def test_a_run_without_history_is_explained_not_fatal(report, tmp_path):
    broken = replace(
        report,
        classifier=replace(report.classifier, run=tmp_path / "gone"),
        generator=replace(report.generator, run=tmp_path / "gone"),
    )
    text = Page(render_page(broken)).text
    assert "The training curves cannot be shown: history.jsonl holds no whole line" in text
    assert "The losses cannot be shown" in text
    assert str(tmp_path) not in text


@pytest.mark.usefixtures("undrawn")
def test_names_of_the_user_cannot_become_markup(report):
    evil = "<script>alert(1)</script>"
    model = replace(report.classifier.model, classes=(evil, "b&w"), intended_use='"quoted" <b>')
    data = replace(report.data, source=evil)
    page = Page(render_page(replace(report, data=data, classifier=replace(report.classifier, model=model))))
    assert not page.all("script")
    assert "alert(1)" in page.text


def test_many_classes_stay_small(report):
    classes = tuple(f"class {index}" for index in range(40))
    grid = np.random.default_rng(0).integers(0, 256, (40, 8, 64, 64, 1), dtype=np.uint8)
    model = replace(report.generator.model, classes=classes)
    html = render_page(replace(report, generator=replace(report.generator, model=model, generated=grid, real=grid)))
    assert "Pictures show the first 12 of 40 classes" in html
    assert len(html) < 10e6


def test_an_unwritable_folder_is_our_error(report, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="must be a folder"):
        write_report(tmp_path / "file", report)


@pytest.mark.skipif(os.name == "nt", reason="paths of this machine are POSIX")
def test_no_path_of_this_machine_leaks(report, runs, tmp_path):
    write_report(tmp_path / "out", replace(report, classifier=replace(report.classifier, run=runs[0])))
    for name in ("report.html", "metrics.json"):
        assert str(tmp_path) not in (tmp_path / "out" / name).read_text(encoding="utf-8")


@pytest.mark.usefixtures("undrawn")
def test_images_that_findings_name_are_shown(report):
    shown = (("a/1.png", "a/2.png"), ("b/1.png",))
    finding = Finding(code="near-duplicate", severity="info", message="Odd.", evidence={}, advice="Look.", shown=shown)
    thumbnails = {name: np.full((64, 64), 90, np.uint8) for names in shown for name in names}
    audit = Audit(source="phantom", images=3, parts={}, findings=(finding,), thumbnails=thumbnails)
    page = render_page(replace(report, audit=audit))
    assert "near-duplicate: a/1.png and a/2.png" in page
    assert page.count("near-duplicate: ") == 2


@pytest.mark.usefixtures("undrawn")
def test_thresholds_are_told_with_their_prevalence(report):
    decisions = report.classifier.decisions
    text = Page(render_page(report)).text
    for rule in decisions.rules:
        assert f"{rule.point.threshold:.3f}" in text
        assert f"{rule.point.ppv.value:.3f}" in text
    assert "the share in this test part, which was collected, not met in a clinic" in text
    stated = replace(report.classifier, decisions=replace(decisions, prevalence=0.02, prevalence_stated=True))
    text = Page(render_page(replace(report, classifier=stated))).text
    assert "a prevalence of opacity of 2.0" in text
    assert "as it was stated for this report" in text
    by_test = replace(decisions, rules=tuple(replace(rule, chosen_on="test") for rule in decisions.rules))
    text = Page(render_page(replace(report, classifier=replace(report.classifier, decisions=by_test)))).text
    assert "their lines are too good" in text


@pytest.mark.usefixtures("undrawn")
def test_groups_with_errors_are_listed(report):
    text = Page(render_page(report)).text
    worst = report.classifier.groups[0]
    assert worst.errors > 0
    assert f"Groups with the most errors Group Errors Images Share {worst.group} {worst.errors} {worst.images}" in text
    bare = replace(report.classifier, groups=None)
    assert "Groups with the most errors" not in Page(render_page(replace(report, classifier=bare))).text


@pytest.mark.usefixtures("undrawn")
def test_maps_come_with_what_they_do_not_say(report):
    text = Page(render_page(report)).text
    assert "Such a map shows where, not why" in text
    assert "This page shows real test images" in text
    for each in report.classifier.maps:
        assert f"{each.name}, true {each.true}, decided {each.decided}" in text
    without = Page(render_page(replace(report, classifier=replace(report.classifier, maps=())))).text
    assert "shows where, not why" not in without
    assert "real test images. Treat" not in without
