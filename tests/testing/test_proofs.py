"""The proofs hold for what is installed, and find what is planted."""

from __future__ import annotations

import numpy as np
import pytest

from medsynth.default_plugins.feature_metrics import FID
from medsynth.plugins import PluginEntry, PluginSource, Registry, Result, hookimpl, registry
from medsynth.testing import proofs
from medsynth.testing.proofs import CLOSED_FORMS, GOLDENS, golden_rows, prove_metrics


@pytest.fixture(scope="module")
def every():
    return list(prove_metrics())


def test_every_metric_holds(every):
    assert [proof for proof in every if not proof.passed] == []
    names = {record.name for record in registry().records() if record.kind == "metric"}
    assert {proof.metric for proof in every} == names


def test_every_metric_of_ours_has_closed_forms_and_a_frozen_value(every):
    ours = {
        each.name for each in registry().records() if each.kind == "metric" and each.distribution == "medsynth-core"
    }
    assert set(CLOSED_FORMS) == set(GOLDENS) == ours
    tried = {(proof.metric, proof.name) for proof in every}
    assert {(name, "frozen value") for name in ours} <= tried
    assert ("fid", "3 rows of 2 dimensions, 4/9") in tried


def test_third_party_metrics_are_tried_on_invariances(every):
    pytest.importorskip("medsynth_ms_ssim")
    own = [proof.name for proof in every if proof.metric == "ms-ssim"]
    assert "order of rows does not matter" in own


def fill(*classes, name="fid"):
    class Hooks:
        @hookimpl
        def medsynth_register_metrics(self):
            for cls in classes:
                yield PluginEntry(name=name, load=lambda cls=cls: cls, summary="Planted.")

    filled = Registry()
    filled.add(PluginSource(plugin="p", distribution="stranger", version="1", module="m", load=Hooks))
    return filled


def test_a_metric_that_is_a_little_wrong_is_found():
    class Biased(FID):
        """Divides by n, as numpy's default does."""

        def _result(self, reference, candidate):
            result = super()._result(reference, candidate)
            return Result(value=result.value * (1 - 1 / len(reference)))

    failed = {proof.name for proof in prove_metrics(fill(Biased)) if not proof.passed}
    assert {"3 rows of 2 dimensions, 4/9", "frozen value"} <= failed


def test_a_metric_that_raises_is_a_row():
    class Broken(FID):
        """Raises."""

        def _result(self, reference, candidate):
            raise RuntimeError("two\nlines")

    found = list(prove_metrics(fill(Broken)))
    assert len(found) > 5
    assert any(proof.detail == "RuntimeError: two lines" for proof in found if not proof.passed)


def test_a_metric_that_cannot_be_made_or_imported_is_a_row():
    class NeedsMore(FID):
        """Cannot be constructed."""

        def __init__(self):
            raise ImportError("no such library")

    (proof,) = prove_metrics(fill(NeedsMore))
    assert (proof.passed, proof.metric) == (False, "fid")
    assert "no such library" in proof.detail
    registry_of_none = Registry()

    def broken():
        raise ImportError("gone")

    registry_of_none.add(PluginSource(plugin="q", distribution="stranger", version="1", module="m", load=broken))
    (proof,) = prove_metrics(registry_of_none)
    assert (proof.metric, proof.passed) == ("q", False)
    assert "gone" in proof.detail


def test_golden_rows_are_the_same_everywhere():
    rows = golden_rows("features")
    assert rows.reference[0, :2].tolist() == [0.15853384137153625, 2.982879400253296]
    assert rows.reference.shape == rows.candidate.shape == (96, 8)
    assert golden_rows("probabilities").candidate.sum(axis=1) == pytest.approx(np.ones(96))
    assert proofs.golden_rows("features").reference.tobytes() == rows.reference.tobytes()
