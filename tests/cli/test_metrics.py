from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from medsynth.cli.metrics import app
from medsynth.errors import CheckFailedError
from medsynth.testing import proofs
from medsynth.testing.proofs import Proof

PROOFS = (Proof("fid", "toy", True, "0.4, must be 0.4"), Proof("kid", "two points", True, "7"))


def invoke(*arguments):
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_what_holds_is_counted(monkeypatch):
    monkeypatch.setattr(proofs, "prove_metrics", lambda: iter(PROOFS))
    result = invoke("verify")
    assert result.exit_code == 0
    assert "2 of 2 hold." in result.output
    assert "toy" not in result.output
    assert "toy" in invoke("verify", "--all").output


def test_a_failure_is_shown_and_exits_with_1(monkeypatch):
    monkeypatch.setattr(proofs, "prove_metrics", lambda: iter((*PROOFS, Proof("mine", "made", False, "OSError: no"))))
    with pytest.raises(CheckFailedError, match=r"1 of 3 fail. The first: mine, made: OSError: no"):
        invoke("verify")
    assert CheckFailedError.exit_code == 1


def test_json(monkeypatch):
    monkeypatch.setattr(proofs, "prove_metrics", lambda: iter(PROOFS))
    told = json.loads(invoke("verify", "--json").output)
    assert told["schema"] == 1
    assert told["proofs"][0] == {"metric": "fid", "name": "toy", "passed": True, "detail": "0.4, must be 0.4"}
