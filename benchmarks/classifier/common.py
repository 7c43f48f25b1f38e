"""What the scripts of this folder share: facts about the machine, and numbers of predictions."""

from __future__ import annotations

import os
import platform
import resource
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medsynth.train.backend import training_versions


def machine() -> dict[str, Any]:
    """Facts that seconds depend on; no names of hosts or users."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    flags = next((line for line in lines if line.startswith("flags")), "")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), ""),
        "avx512_bf16": "avx512_bf16" in flags,
        "python": platform.python_version(),
        "versions": training_versions(),
    }


def peak_memory_gb() -> float:
    """Of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)


def test_numbers(labels: Any, positive: Any, threshold: float) -> dict[str, float]:
    """Accuracy, F1 and AUC of the positive class by scikit-learn, which medsynth's own metrics are tested against.

    Args:
        labels: 1 for positive rows, (n,).
        positive: Probability of the positive class, (n,).
        threshold: At or above which it is called.
    """
    from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

    called = np.asarray(positive) >= threshold
    return {
        "accuracy": float(accuracy_score(labels, called)),
        "f1": float(f1_score(labels, called)),
        "auc": float(roc_auc_score(labels, positive)),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, standard deviation (n - 1), least and largest."""
    return {
        "mean": statistics.fmean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else 0.0,
        "least": min(values),
        "largest": max(values),
    }
