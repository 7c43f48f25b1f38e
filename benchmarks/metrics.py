"""Our distances against other people's code, on the same arrays in one run: agreement, seconds and memory.

    python benchmarks/metrics.py --rows 10000 --dimensions 512 --out results.json

Every measurement is a process of its own, so that its peak memory is its own. Needs numpy and medsynth; ``prdc``,
``torchmetrics``, ``torch-fidelity``, ``pytorch-fid`` and ``clean-fid`` are used where they are installed. Their
arithmetic is called on arrays; torchvision, which they import for their networks, is replaced by an empty module.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import numpy as np

K = 5
DISTRIBUTIONS = ("medsynth-core", "numpy", "scipy", "scikit-learn", "prdc", "torch", "torchmetrics", "torch-fidelity",
                 "pytorch-fid", "clean-fid")  # fmt: skip


def arrays(rows: int, dimensions: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """A set like features of a network (correlated, not negative), and one that is a little off."""
    random = np.random.default_rng(0)
    mixing = random.normal(size=(64, dimensions)) / 8
    sets = []
    for shift in (0.0, 0.1):
        made = np.empty((rows, dimensions), dtype)
        for at in range(0, rows, 2000):
            size = min(2000, rows - at)
            block = random.normal(size=(size, 64)) @ mixing + 0.5 * random.normal(size=(size, dimensions))
            made[at : at + size] = np.maximum(block + shift, 0.0)
        sets.append(made)
    return sets[0], sets[1]


def without_torchvision() -> None:
    """Their networks need it, their arithmetic does not."""
    for name in ("", ".datasets", ".models", ".transforms", ".transforms.functional", ".utils"):
        module = ModuleType(f"torchvision{name}")
        module.__getattr__ = lambda attribute: MagicMock(name=attribute)  # type: ignore[method-assign]
        module.__spec__ = ModuleSpec(module.__name__, None)
        sys.modules[module.__name__] = module


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(axis=0), np.cov(x, rowvar=False)


def ours_manifold(x: Any, y: Any) -> Any:
    from medsynth.metrics import manifold_metrics

    found = manifold_metrics(x, y, K)
    return {name: getattr(found, name).value for name in ("precision", "recall", "density", "coverage")}


def prdc_manifold(x: Any, y: Any) -> Any:
    from prdc import compute_prdc

    return {name: float(value) for name, value in compute_prdc(x, y, K).items()}


def ours_neighbours(x: Any, _: Any) -> Any:
    from medsynth.metrics import nearest_neighbours

    return float(np.sqrt(nearest_neighbours(x, x, K, itself=True).squared[:, -1]).mean())


def prdc_neighbours(x: Any, _: Any) -> Any:
    from prdc.prdc import compute_nearest_neighbour_distances

    return float(compute_nearest_neighbour_distances(x, K).mean())


def ours_fid(x: Any, y: Any) -> Any:
    from medsynth.metrics import frechet_distance

    return frechet_distance(x, y)


def pytorch_fid_fid(x: Any, y: Any) -> Any:
    without_torchvision()
    from pytorch_fid.fid_score import calculate_frechet_distance

    return float(calculate_frechet_distance(*moments(x), *moments(y)))


def clean_fid_fid(x: Any, y: Any) -> Any:
    without_torchvision()
    from cleanfid.fid import frechet_distance

    return float(frechet_distance(*moments(x), *moments(y)))


def torch_fidelity_fid(x: Any, y: Any) -> Any:
    without_torchvision()
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    sides = [fid_features_to_statistics(torch.from_numpy(side)) for side in (x, y)]
    return fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"]


def torchmetrics_fid(x: Any, y: Any) -> Any:
    without_torchvision()
    import torch
    from torchmetrics.image.fid import _compute_fid

    sides = [torch.from_numpy(part) for side in (x, y) for part in moments(side)]
    return float(_compute_fid(*sides))


def ours_kid(x: Any, y: Any) -> Any:
    from medsynth.metrics import kernel_distance

    return kernel_distance(x, y).value


def torch_fidelity_kid(x: Any, y: Any) -> Any:
    without_torchvision()
    from torch_fidelity.metric_kid import kernel_mmd

    options = {
        "kid_kernel": "poly",
        "kid_kernel_poly_degree": 3,
        "kid_kernel_poly_gamma": None,
        "kid_kernel_poly_coef0": 1,
    }
    return float(kernel_mmd(x, y, **options))


def torchmetrics_kid(x: Any, y: Any) -> Any:
    without_torchvision()
    import torch
    from torchmetrics.image.kid import poly_mmd

    return float(poly_mmd(torch.from_numpy(x), torch.from_numpy(y)))


TASKS: dict[str, dict[str, Callable[[Any, Any], Any]]] = {
    "manifold": {"medsynth": ours_manifold, "prdc": prdc_manifold},
    "neighbours": {"medsynth": ours_neighbours, "prdc": prdc_neighbours},
    "fid": {
        "medsynth": ours_fid,
        "pytorch-fid": pytorch_fid_fid,
        "clean-fid": clean_fid_fid,
        "torch-fidelity": torch_fidelity_fid,
        "torchmetrics": torchmetrics_fid,
    },
    "kid": {"medsynth": ours_kid, "torch-fidelity": torch_fidelity_kid, "torchmetrics": torchmetrics_kid},
}


def measure(task: str, who: str, rows: int, dimensions: int, dtype: str) -> dict[str, Any]:
    """In this process."""
    x, y = arrays(rows, dimensions, dtype)
    small = slice(0, 3 * K)
    try:
        TASKS[task][who](x[small], y[small])  # Imports are not measured.
    except ImportError as error:
        return {"error": f"not installed: {error}"}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    value = TASKS[task][who](x, y)
    return {
        "seconds": round(time.perf_counter() - began, 3),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "peak_mib_before": round(before / 1024),
        "value": value,
    }


def facts() -> dict[str, Any]:
    versions = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    names = (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    return {
        "processor": next(names, "").partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--dtype", default="float64", choices=("float32", "float64"))
    parser.add_argument("--tasks", default=",".join(TASKS), help="with commas")
    parser.add_argument("--who", default="", help="with commas; all by default")
    parser.add_argument("--repeat", type=int, default=1, help="the fastest counts")
    parser.add_argument("--out", type=Path, required=True, help="JSON; results are added to what is there")
    parser.add_argument("--one", nargs=2, metavar=("TASK", "WHO"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print("\n" + json.dumps(measure(*given.one, given.rows, given.dimensions, given.dtype)))  # prdc prints too
        return
    record = json.loads(given.out.read_text()) if given.out.exists() else {"schema": 1, "rows": []}
    record["machine"] = facts()
    size = {"rows": given.rows, "dimensions": given.dimensions, "dtype": given.dtype}
    for task in given.tasks.split(","):
        for who in given.who.split(",") if given.who else TASKS[task]:
            numbers = (
                "--rows",
                given.rows,
                "--dimensions",
                given.dimensions,
                "--dtype",
                given.dtype,
                "--out",
                given.out,
            )
            command = [sys.executable, __file__, *map(str, numbers), "--one", task, who]
            runs = [_run(command) for _ in range(given.repeat)]
            best = min(runs, key=lambda run: run.get("seconds", float("inf")))
            row = {"task": task, "who": who, **size, "runs": given.repeat, **best}
            key = ("task", "who", "rows", "dimensions", "dtype")
            record["rows"] = [each for each in record["rows"] if any(each[name] != row[name] for name in key)] + [row]
            print(row, flush=True)
            given.out.parent.mkdir(parents=True, exist_ok=True)
            given.out.write_text(json.dumps(record, indent=1) + "\n")


def _run(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["killed"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
