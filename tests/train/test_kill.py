from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

COMMAND = (
    "train generator {data} --out {out} --image-size 32 --steps 24 --no-audit -O width=2 "
    "-O discriminator_width=4 -O latent=8 -O batch_size=8 -O watched=3 -O sample_every=4 -O deterministic=true"
)


@pytest.fixture(scope="module")
def slices(phantom, tmp_path_factory):
    """Of few phantom patients, in folders."""
    root = tmp_path_factory.mktemp("slices")
    for row, (label, pixels) in enumerate(zip(phantom.labels, phantom.images, strict=True)):
        folder = root / phantom.classes[label]
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{row}.png")
    return root


def _steps(checkpoint):
    """How many are in a checkpoint; one is written before the first step."""
    if not checkpoint.exists():
        return 0
    with np.load(checkpoint) as stored:
        return json.loads(stored["state"].tobytes())["step"]


@pytest.mark.parametrize("recipe", ["-O recipe=modern", "-O recipe=projected --weights none"])
def test_a_run_that_was_killed_ends_with_the_very_weights_of_one_that_was_not(slices, tmp_path, recipe):
    whole, cut = (f"{COMMAND.format(data=slices, out=tmp_path / name)} {recipe}".split() for name in ("whole", "cut"))
    # Both in one process, in which names of layers are numbered on; the end in another.
    both = f"from medsynth.cli.main import run; assert run({whole}) == 0; run({cut})"
    history = tmp_path / "cut" / "history.jsonl"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", both], **quiet) as process:
        while process.poll() is None and not _steps(tmp_path / "cut" / "checkpoint.npz"):
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert 0 < _steps(tmp_path / "cut" / "checkpoint.npz") < 24
    subprocess.run([sys.executable, "-m", "medsynth", *cut, "--resume"], check=True, capture_output=True)
    for name in ("weights.npz", "checkpoint.npz"):
        with np.load(tmp_path / "whole" / name) as one, np.load(tmp_path / "cut" / name) as other:
            assert one.files == other.files
            arrays = [key for key in one.files if key != "state"]  # which holds the seconds
            assert len(arrays) > 20
            assert all(np.array_equal(one[key], other[key]) for key in arrays)
    assert len(history.read_text().splitlines()) == 24
    last = "samples/step-000024.png"
    assert (tmp_path / "whole" / last).read_bytes() == (tmp_path / "cut" / last).read_bytes()
