"""How long the audit of many images takes, and how much memory.

    python benchmarks/audit.py --images 20000 --folder SCRATCH --out benchmarks/results/audit.json

Draws phantom patients once (4 slices each), as 128x128 PNG files with a CSV of labels and groups in SCRATCH/images, and
keeps them for the next time. The audit itself runs in a process of its own, whose wall time and peak memory are taken.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import resource
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

_SLICES = 4
_SIZE = 128


def draw(first: int, last: int, folder: str) -> list[tuple[str, str, str]]:
    """Patients ``first`` to ``last - 1`` as files; rows of the CSV."""
    from PIL import Image

    from medsynth.dataset.phantom import PHANTOM_CLASSES
    from medsynth.dataset.phantom_patient import SLAB, Draws, Patient
    from medsynth.dataset.phantom_slice import cut_slice

    rows = []
    for index in range(first, last):
        patient = Patient.draw(0, index, ill=index % 2 == 1)
        for cut in range(_SLICES):
            name = f"p{index:05d}-s{cut}.png"
            if not (Path(folder) / name).exists():
                pixels = cut_slice(patient, SLAB * ((cut + 0.5) / _SLICES - 0.5), Draws(0, index, cut + 1), _SIZE)
                Image.fromarray(pixels).save(Path(folder) / name)
            rows.append((name, PHANTOM_CLASSES[index % 2], f"p{index:05d}"))
    return rows


def prepare(images: int, folder: Path) -> None:
    """Draw what is not there yet."""
    if (folder / "labels.csv").exists() and sum(1 for _ in folder.glob("*.png")) == images:
        return
    folder.mkdir(parents=True, exist_ok=True)
    bounds = [images // _SLICES * step // 40 for step in range(41)]
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(draw, bounds[:-1], bounds[1:], [str(folder)] * 40))
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("path", "label", "group"), *(row for part in parts for row in part)])


def audit(folder: Path) -> None:
    """Audit, and print facts as JSON; with the groups of the CSV and without them."""
    from dataclasses import replace

    from medsynth.dataset import audit_dataset, load_dataset

    began = time.perf_counter()
    data = load_dataset(folder)
    facts = {"images": len(data), "load_seconds": round(time.perf_counter() - began, 1)}
    for name, table in (("with groups", data), ("without groups", replace(data, groups=None))):
        began = time.perf_counter()
        result = audit_dataset(table, workers=2)
        facts[name] = {
            "seconds": round(time.perf_counter() - began, 1),
            "findings": [f"{finding.severity} {finding.code}" for finding in result.findings],
        }
    # Linux counts kilobytes.
    facts["peak_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    print(json.dumps(facts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000, help="a multiple of 4")
    parser.add_argument("--folder", type=Path, required=True, help="scratch folder for the images")
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("--only", choices=("prepare", "audit"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only == "audit":
        audit(given.folder / "images")
        return
    prepare(given.images, given.folder / "images")
    if given.only == "prepare":
        return
    command = [sys.executable, __file__, "--folder", str(given.folder), "--only", "audit"]
    facts = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    facts["machine"] = machine()
    facts["pixels"] = [_SIZE, _SIZE]
    print(json.dumps(facts, indent=2))
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def machine() -> dict[str, object]:
    """Processor, cores and versions."""
    import numpy as np
    import PIL

    from medsynth.processor import allowed_cores

    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return {
        "processor": next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), ""),
        "cores": len(allowed_cores()),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }


if __name__ == "__main__":
    main()
