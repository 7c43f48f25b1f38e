"""Images per second of an exported generator: onnxruntime against Keras ``predict``; noise in shards.

python benchmarks/generator/sampling.py --out benchmarks/results/generator/sampling.json

The networks are the classic ones at 64x64, from random weights: speed does not depend on them. Keras has the
reports' own (``UpSampling2D`` before each convolution). Contestants take turns. ``--model`` adds other exported
generators, for example one that ``medsynth export --precision int8`` let through its gate.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "classifier"))

import keras
import numpy as np
from common import machine
from race import plain_generator

import medsynth
from medsynth.artifact import noise

LATENT = 100


def exported(folder: Path, size: int) -> Path:
    """A classic generator after one step on the phantom set."""
    own = {"recipe": "classic", "image_size": size, "steps": 1, "watched": 3}
    run = medsynth.train_generator("phantom", out=folder / "run", **own)
    return medsynth.export(run, folder / "generator.onnx")


def shards(rows: int, parts: int, latent: int) -> bool:
    """Whether noise made in parts equals noise made at once."""
    whole = noise(0, 0, rows, latent)
    each = -(-rows // parts)
    starts = range(0, rows, each)
    return all(
        np.array_equal(noise(0, start, min(each, rows - start), latent), whole[start : start + each])
        for start in starts
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--latent", type=int, default=LATENT)
    parser.add_argument("--model", type=Path, action="append", default=[])
    given = parser.parse_args()
    keras.utils.set_random_seed(0)
    plain = plain_generator(given.size)
    labels = np.arange(given.images) % 2
    codes = noise(0, 0, given.images, LATENT)
    contestants: dict[str, Callable[[], object]] = {
        "Keras predict, plain": lambda: plain.predict([codes, labels[:, None]], batch_size=given.batch, verbose=0)
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = {"onnxruntime, fp32": exported(Path(folder), given.size)} | {path.stem: path for path in given.model}
        for name, path in paths.items():
            sampler = medsynth.load_model(path, device="cpu")
            contestants[name] = lambda sampler=sampler: sampler.sample(given.images, batch_size=given.batch)
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        for draw in contestants.values():
            draw()
        for _ in range(given.rounds):
            for name, draw in contestants.items():
                began = time.perf_counter()
                draw()
                rates[name].append(given.images / (time.perf_counter() - began))
    first = rates["Keras predict, plain"]
    result = {
        "size": given.size,
        "batch": given.batch,
        "machine": machine(),
        "images_per_second": {
            name: {
                "median": round(statistics.median(found), 1),
                "times_predict": round(statistics.median(new / old for new, old in zip(found, first, strict=True)), 2),
            }
            for name, found in rates.items()
        },
        "noise": {"rows": given.rows, "shards": 16, "equal": shards(given.rows, 16, given.latent)},
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["images_per_second"] | result["noise"]))


if __name__ == "__main__":
    main()
