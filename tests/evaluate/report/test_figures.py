from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from medsynth.evaluate.report.figures import classifier_curves, generator_curves, roc_figure
from medsynth.metrics import Estimate, Resampling, Rows, score

SVG = "{http://www.w3.org/2000/svg}"


def drawn_lines(svg: str) -> int:
    """Curves of a chart; the grid's and the axes' lines have ids of their own."""
    root = ET.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    axes = next(group for group in root.iter(f"{SVG}g") if group.get("id") == "axes_1")
    return sum(1 for group in axes.findall(f"{SVG}g") if (group.get("id") or "").startswith("line2d_"))


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    positive = np.clip(0.4 * labels + 0.6 * rng.random(60), 0, 1)
    return score(Rows.of(labels, np.column_stack([1 - positive, positive])), Resampling(resamples=50))


def test_roc_draws_each_class_and_the_diagonal(scores):
    curves = [(f"class {index}", scores.roc[index], scores.per_class["auc"][index]) for index in range(2)]
    svg = roc_figure(curves)
    assert drawn_lines(svg) == 3
    assert "FillBetween" in svg
    assert roc_figure(curves) == svg
    assert len(svg) < 200_000


def test_roc_without_a_band(scores):
    bare = score(Rows.of([0, 1], [[0.8, 0.2], [0.3, 0.7]]), Resampling(resamples=0))
    svg = roc_figure([("only", bare.roc[1], Estimate(None))])
    assert drawn_lines(svg) == 2
    assert "FillBetween" not in svg


def test_classifier_curves_draw_what_the_history_has():
    series = {name: np.linspace(1, 0, 5) for name in ("loss", "val_loss", "val_auc")} | {"epoch": np.arange(1.0, 6)}
    loss, metrics = classifier_curves(series, best=3)
    assert drawn_lines(loss) == 3  # two losses and the mark
    assert drawn_lines(metrics) == 2


def test_a_single_epoch_can_be_drawn():
    series = {"epoch": np.ones(1), "loss": np.ones(1), "val_loss": np.ones(1), "val_accuracy": np.ones(1)}
    assert all(drawn_lines(svg) for svg in classifier_curves(series))


def test_generator_curves_sort_any_names_into_losses_and_accuracies():
    series = {name: np.random.default_rng(0).random(3000) for name in ("d_loss", "g_loss", "penalty", "real_accuracy")}
    charts = generator_curves({**series, "step": np.arange(3000.0), "seconds": np.arange(3000.0)})
    assert list(charts) == ["loss", "accuracy"]
    assert drawn_lines(charts["loss"]) == 3
    assert drawn_lines(charts["accuracy"]) == 1
    assert len(charts["loss"]) < 100_000
    assert list(generator_curves({"step": np.arange(3.0), "loss": np.ones(3)})) == ["loss"]
