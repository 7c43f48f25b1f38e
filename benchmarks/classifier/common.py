"""What the scripts of this folder share: facts about the machine, and numbers of predictions."""

from __future__ import annotations

import platform
import resource
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medsynth.metrics import Rows, calibration_error
from medsynth.processor import allowed_cores, processor_has
from medsynth.train.backend import training_versions
from medsynth.train.calibrate import fit_calibration


def machine() -> dict[str, Any]:
    """Facts that seconds depend on; no names of hosts or users."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return {
        "cores": len(allowed_cores()),
        "processor": next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), ""),
        "avx512_bf16": processor_has("avx512_bf16"),
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


def expected_error(labels: Any, probabilities: Any, positive: int) -> float:
    """Expected calibration error of the positive class, 15 equal bins."""
    rows = Rows.of(labels, probabilities, positive=positive)
    return float(calibration_error(rows, np.ones((1, len(rows))))[0, 0])


def floor(probabilities: Any, positive: int) -> dict[str, float]:
    """The same error of a model that is calibrated perfectly: labels drawn 1,000 times from its own probabilities."""
    random = np.random.default_rng(0)
    p = np.asarray(probabilities)[:, positive]
    found = []
    for _ in range(1000):
        labels = np.where(random.random(len(p)) < p, positive, 1 - positive)
        found.append(expected_error(labels, probabilities, positive))
    return {"mean": float(np.mean(found)), "95%": float(np.quantile(found, 0.95))}


def calibration_on(logits: Any, labels: Any, positive: int) -> dict[str, Any]:
    """Error on the images that the calibration was fitted on, and with each fifth of them judged by the other four.

    A fifth is a block of consecutive rows of each class; rows are in natural order of their names.
    """
    fold = np.empty(len(labels), int)
    for label in np.unique(labels):
        for index, rows in enumerate(np.array_split(np.flatnonzero(labels == label), 5)):
            fold[rows] = index
    own = fit_calibration(logits, labels).probabilities(logits)
    others = np.concatenate(
        [fit_calibration(logits[fold != k], labels[fold != k]).probabilities(logits[fold == k]) for k in range(5)]
    )
    order = np.concatenate([np.flatnonzero(fold == k) for k in range(5)])
    return {
        "images": len(labels),
        "in_sample": expected_error(labels, own, positive),
        "cross_fitted": expected_error(labels[order], others, positive),
        "floor": floor(own, positive),
    }
