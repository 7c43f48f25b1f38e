"""``python -m benchmarks.inference``; see the package."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import benchmarks.inference
import numpy as np
from benchmarks.inference.engines import ENGINES, REFERENCE, Files
from benchmarks.inference.race import race
from benchmarks.inference.table import markdown, summarise

from medsynth import artifact
from medsynth.artifact.runtime import runtime_versions
from medsynth.benchmark.peak import count_flop
from medsynth.dataset import load_dataset
from medsynth.export.precision.data import decode_images

IMAGES = 64


def main() -> None:
    parser = argparse.ArgumentParser(
        "benchmarks.inference", description=benchmarks.inference.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("fp32", type=Path, help="an fp32 artefact: grey VGG16 with the head gap")
    parser.add_argument("int8", type=Path, help="the same in int8, by medsynth export --precision int8")
    parser.add_argument("--data", required=True, help="what medsynth.load_dataset takes")
    parser.add_argument("--out", type=Path, required=True, help="folder for batch-N.json and table.md")
    parser.add_argument("--batch-sizes", default="1,8,32")
    parser.add_argument("--engines", help=f"comma-separated parts of names, of {'; '.join(ENGINES)}")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="least length of a turn")
    parser.add_argument("--work", type=Path, help="folder for what engines make, kept for the next call")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        files = Files(options.fp32.resolve(), options.int8.resolve(), work.resolve())
        _write_images(files, options.data)
        parts = options.engines.split(",") if options.engines else [""]
        engines = [name for name in ENGINES if name == REFERENCE or any(part in name for part in parts)]
        for batch in map(int, options.batch_sizes.split(",")):
            result = race(files, batch, engines, options.rounds, options.seconds)
            result["summary"] = summarise(result, count_flop(files.fp32) or 0.0)
            result["versions"] = runtime_versions()
            result["models"] = {path.name: _facts(path) for path in (files.fp32, files.int8)}
            (options.out / f"batch-{batch}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    # Also batch sizes of earlier calls: a long measurement may be made in parts.
    results = [json.loads(path.read_text(encoding="utf-8")) for path in options.out.glob("batch-*.json")]
    table = markdown(sorted(results, key=lambda result: result["batch"]))
    (options.out / "table.md").write_text(table, encoding="utf-8")
    print(table)


def _write_images(files: Files, data: str) -> None:
    images = decode_images(load_dataset(data), artifact.read(files.fp32))
    np.save(files.work / "timing.npy", images.validation.images[:IMAGES])
    np.save(files.work / "calibration.npy", images.calibration)


def _facts(path: Path) -> dict[str, object]:
    metadata = artifact.read(path)
    return {"content_hash": metadata.content_hash, "precision": metadata.precision}


if __name__ == "__main__":
    main()
