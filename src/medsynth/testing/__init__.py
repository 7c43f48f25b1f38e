"""The conformance kit: what every plugin of a kind must do, as checks that run under pytest and without it.

A plugin author writes one test::

    from medsynth.testing import parametrize_with_checks


    @parametrize_with_checks("backbone", "tiny-cnn")
    def test_conformance(check):
        check()

``medsynth plugins check NAME`` runs the same checks. Importing this package imports neither Keras nor pytest.
"""

from __future__ import annotations

from medsynth.testing.kit import CheckOutcome, checks, parametrize_with_checks, run_checks
from medsynth.testing.subject import Check, Subject

__all__ = ["Check", "CheckOutcome", "Subject", "checks", "parametrize_with_checks", "run_checks"]
