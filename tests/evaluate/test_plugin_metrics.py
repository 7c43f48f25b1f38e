from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest

from medsynth.evaluate import plugin_metrics
from medsynth.evaluate.plugin_metrics import match, measure
from medsynth.plugins import Metric, PluginEntry, PluginSource, Registry, Result, hookimpl


class Brightness(Metric):
    """Mean grey of the candidate minus that of the reference."""

    name = "brightness"
    inputs = "images"
    higher_is_better: ClassVar[bool | None] = None

    def reset(self):
        self.difference = None

    def update(self, reference, candidate, *, reference_labels=None, candidate_labels=None):
        self.difference = float(candidate.mean() - reference.mean())

    def compute(self):
        return Result(value=self.difference, per_class={0: self.difference})


class Raises(Brightness):
    """Fails."""

    name = "raises"

    def compute(self):
        raise RuntimeError("two\nlines")


class NotANumber(Brightness):
    """Divides by zero."""

    name = "not-a-number"

    def compute(self):
        return Result(value=float("nan"))


class NoInterval(Brightness):
    """Has an interval that is none."""

    name = "no-interval"

    def compute(self):
        return Result(value=1.0, low=float("nan"), high=float("inf"))


class NumpyNumbers(Brightness):
    """Gives what JSON does not know."""

    name = "numpy-numbers"
    higher_is_better = np.True_

    def compute(self):
        value = np.float32(0.5)
        return Result(value=value, low=value, high=np.array(value), per_class={np.int64(0): value})


class Confidence(Brightness):
    """Mean probability of the true class."""

    name = "confidence"
    inputs = "probabilities"
    higher_is_better = True

    def update(self, reference, candidate, *, reference_labels=None, candidate_labels=None):
        self.difference = float(candidate[np.arange(len(candidate)), reference_labels].mean())


def cannot_be_imported():
    raise ImportError("no such library")


@pytest.fixture
def registered(monkeypatch):
    """A registry that holds these metrics of a stranger, and built-in ones of our name."""

    def fill(*entries, distribution="stranger"):
        class Hooks:
            @hookimpl
            def medsynth_register_metrics(self):
                for name, load in entries:
                    yield PluginEntry(name=name, load=load, summary=f"The {name}.")

        registry = Registry()
        registry.add(PluginSource(plugin="p", distribution=distribution, version="1.2", module="m", load=Hooks))
        assert registry.failures == ()
        monkeypatch.setattr(plugin_metrics, "registry", lambda: registry)

    return fill


IMAGES = np.arange(16, dtype=np.uint8).reshape(4, 2, 2, 1)
LABELS = np.array([0, 0, 1, 1])


def rows(inputs="images"):
    return measure(inputs, IMAGES, IMAGES + 3, reference_labels=LABELS, candidate_labels=LABELS)


def test_a_metric_is_a_row_with_what_real_images_get(registered):
    registered(("brightness", lambda: Brightness))
    (row,) = rows()
    first, second, made = match(LABELS, LABELS)
    grey = IMAGES.mean(axis=(1, 2, 3))
    assert row.estimate.value == 3 + grey[made].mean() - grey[first].mean()
    assert row.per_class == {0: row.estimate.value}
    assert row.real == grey[second].mean() - grey[first].mean()
    assert (row.distribution, row.version, row.summary) == ("stranger", "1.2", "The brightness.")
    assert row.to_dict()["per_class"] == {"0": row.estimate.value}
    assert row.error is None


def test_failures_are_rows(registered):
    registered(
        ("raises", lambda: Raises),
        ("not-a-number", lambda: NotANumber),
        ("unimportable", cannot_be_imported),
        ("brightness", lambda: Brightness),
    )
    by_name = {row.name: row for row in rows()}
    assert by_name["raises"].error == "RuntimeError: two lines"
    assert "not finite: nan" in by_name["not-a-number"].error
    assert "no such library" in by_name["unimportable"].error
    assert by_name["raises"].estimate.value is None
    assert by_name["brightness"].error is None


def test_an_interval_that_is_not_finite_is_an_error_of_the_row(registered):
    registered(("no-interval", lambda: NoInterval))
    (row,) = rows()
    assert "not finite: 1.0, from nan to inf" in row.error
    assert row.estimate.value is None


def test_numbers_of_numpy_become_plain(registered):
    registered(("numpy-numbers", lambda: NumpyNumbers))
    (row,) = rows()
    assert row.error is None
    fields = json.loads(json.dumps(row.to_dict(), allow_nan=False))
    assert (fields["value"], fields["low"], fields["high"], fields["real"]) == (0.5, 0.5, 0.5, 0.5)
    assert fields["per_class"] == {"0": 0.5}
    assert fields["higher_is_better"] is True


def test_metrics_of_other_inputs_are_left_out(registered):
    registered(("brightness", lambda: Brightness), ("confidence", lambda: Confidence))
    assert [row.name for row in rows()] == ["brightness"]
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.5, 0.5]])
    (row,) = measure("probabilities", np.empty((0, 0)), probabilities, reference_labels=LABELS)
    assert row.estimate.value == pytest.approx((0.9 + 0.6 + 0.8 + 0.5) / 4)
    assert row.real is None


def test_our_own_probability_metrics_are_not_run_twice(registered):
    registered(("confidence", lambda: Confidence), distribution="medsynth-core")
    assert rows("probabilities") == ()


class Spread(Brightness):
    """Spread of the candidate's features."""

    name = "spread"
    inputs = "features"

    def update(self, reference, candidate, *, reference_labels=None, candidate_labels=None):
        np.testing.assert_array_equal(reference_labels, candidate_labels)
        self.difference = float(candidate.std())

    def compute(self):
        return Result(value=self.difference, notes=("Few.",))


def test_metrics_of_features_get_features_and_name_their_space(registered):
    registered(("spread", lambda: Spread), ("brightness", lambda: Brightness), ("unimportable", cannot_be_imported))
    features, made = np.random.default_rng(0).normal(size=(2, 40, 3))
    labels = np.arange(40) % 2
    (row,) = measure("features", features, made, reference_labels=labels, candidate_labels=labels, space="pixels")
    assert (row.name, row.space, row.size, row.notes) == ("spread", "pixels", 20, ("Few.",))
    fields = json.loads(json.dumps(row.to_dict(), allow_nan=False))
    assert (fields["space"], fields["size"], fields["notes"]) == ("pixels", 20, ["Few."])


def test_kid_leads(registered):
    class Kid(Spread):
        """Leads."""

        name = "kid"

    registered(("a-metric", lambda: type("A", (Spread,), {"name": "a-metric"})), ("kid", lambda: Kid))
    features, labels = np.zeros((8, 2)), np.arange(8) % 2
    found = measure("features", features, features, reference_labels=labels, candidate_labels=labels)
    assert [row.name for row in found] == ["kid", "a-metric"]


def test_matched_sides_are_equally_many_with_the_same_classes():
    real, made = np.repeat([0, 1, 2], [50, 9, 40]), np.arange(60) % 3
    first, second, generated = match(real, made)
    np.testing.assert_array_equal(real[first], real[second])
    np.testing.assert_array_equal(real[first], made[generated])
    np.testing.assert_array_equal(np.bincount(real[first]), [20, 4, 20])
    assert not set(first) & set(second)
    assert all(len(set(rows)) == len(rows) for rows in (first, second, generated))
    np.testing.assert_array_equal(match(real, made)[0], first)
    assert max(first[:20]) > min(second[:20])  # Neighbours by name are on both sides, as they are among generated ones.


def test_a_class_that_is_missing_on_one_side_is_left_out():
    first, _, generated = match(np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 2, 2]))
    assert len(first) == len(generated) == 2
    assert len(match(np.array([0, 1]), np.array([0, 1]))[0]) == 0
