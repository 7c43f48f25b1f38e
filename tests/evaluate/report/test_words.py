from __future__ import annotations

from medsynth.evaluate.report.words import count, estimate_cell, explain, interval, join, number, percent, title
from medsynth.metrics import STATISTICS, Estimate


def test_numbers():
    assert number(0.93849) == "0.938"
    assert number(None) == "–"
    assert percent(0.5) == "50.0\N{NO-BREAK SPACE}%"
    assert interval(Estimate(0.5, 0.25, 0.75)) == "0.250 to 0.750"
    assert interval(Estimate(0.5, 0.25, 0.75), as_percent=True) == "25.0 to 75.0\N{NO-BREAK SPACE}%"
    assert interval(Estimate(0.5)) == ""
    assert (estimate_cell(Estimate(0.5)).text, estimate_cell(Estimate(0.5)).small) == ("0.500", "")


def test_counts_and_lists():
    assert [count(amount, "image") for amount in (0, 1, 2000)] == ["0 images", "1 image", "2,000 images"]
    assert [join(words) for words in ((), ("a",), ("a", "b"), ("a", "b", "c"))] == ["", "a", "a and b", "a, b and c"]


def test_every_metric_has_a_name_and_a_meaning():
    for metric in STATISTICS:
        assert title(metric) != metric
        assert explain(metric, "ill")
        assert explain(metric, None)
    assert "ill" in explain("specificity", "ill")
