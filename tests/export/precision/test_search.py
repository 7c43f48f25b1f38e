from __future__ import annotations

import pytest

from medsynth.errors import CheckFailedError
from medsynth.export.precision.gate import Verdict
from medsynth.export.precision.search import convert_within_budget

HARM = {"a": 1.0, "b": 5.0, "c": 3.0, "d": 0.5}


class Subject:
    """A model is the set of layers kept; its error is the harm of all the others."""

    advice = "Do this"

    def __init__(self, allowed):
        self.allowed = allowed

    def error(self, kept):
        return sum(harm for name, harm in HARM.items() if name not in kept)

    def judge(self, kept):
        error = self.error(kept)
        return Verdict(("too much",) if error > self.allowed else (), {"error": error}, f"{error}")


def _search(allowed, fallback=True):
    said = []
    return convert_within_budget(tuple, list(HARM), Subject(allowed), fallback=fallback, tell=said.append), said


def test_nothing_is_kept_where_nothing_must_be():
    found, said = _search(10.0)
    assert found.kept == ()
    assert found.verdict == found.whole
    assert not said


def test_the_most_harmful_layers_are_kept_and_no_more():
    found, said = _search(2.0)
    assert found.model == found.kept == ("b", "c")
    assert found.verdict.measured == {"error": 1.5}
    assert found.whole.measured == {"error": 9.5}
    assert len(said) == 3


def test_over_the_budget_with_half_of_the_layers_kept_is_refused():
    with pytest.raises(
        CheckFailedError, match=r"even with 2 of 4 layers in float32: too much\. Nothing was written\. Do this, or stay"
    ):
        _search(1.0)


def test_without_fallback_it_refuses_at_once():
    with pytest.raises(CheckFailedError, match="refuses this precision: too much"):
        _search(2.0, fallback=False)
