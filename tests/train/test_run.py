"""The folder of a run: what may be continued, and as what."""

from __future__ import annotations

import pytest

from medsynth.config import ClassifierConfig
from medsynth.errors import ConfigError
from medsynth.train.run import start_run

TUNED = {"epochs": 2, "finetune_epochs": 3, "finetune_from": "block4_pool"}


def begin(data, out, *, resume=False, **settings):
    return start_run("classifier", data, ClassifierConfig.from_settings(settings), out=out, resume=resume)


def test_a_run_with_fine_tuning_keeps_its_number_of_epochs(phantom, tmp_path):
    run = begin(phantom, tmp_path, **TUNED).finish({"epochs": 5})
    run.checkpoint.write_bytes(b"")
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(ConfigError, match=r"fine-tuning keeps its number of epochs, 2. Got 6; choose another --out"):
        begin(phantom, tmp_path, resume=True, **TUNED | {"epochs": 6})
    assert (tmp_path / "run.json").read_bytes() == before
    assert begin(phantom, tmp_path, resume=True, **TUNED).finished


def test_a_run_without_fine_tuning_may_have_more_epochs(phantom, tmp_path):
    run = begin(phantom, tmp_path, epochs=2).finish({"epochs": 2})
    run.checkpoint.write_bytes(b"")
    longer = begin(phantom, tmp_path, resume=True, epochs=6)
    assert (longer.config["epochs"], longer.finished) == (6, False)
