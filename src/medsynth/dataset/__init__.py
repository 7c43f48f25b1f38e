"""Data sets: load, split, decode, audit."""

from __future__ import annotations

from medsynth.dataset.arrays import from_arrays
from medsynth.dataset.audit import Audit, Finding, audit_dataset
from medsynth.dataset.folds import Fold, fold_datasets
from medsynth.dataset.load import load_dataset
from medsynth.dataset.phantom import make_phantom
from medsynth.dataset.regroup import Grouping, group_dataset, split_dataset
from medsynth.dataset.table import PARTS, Dataset, Decoded, Skipped

__all__ = [
    "PARTS",
    "Audit",
    "Dataset",
    "Decoded",
    "Finding",
    "Fold",
    "Grouping",
    "Skipped",
    "audit_dataset",
    "fold_datasets",
    "from_arrays",
    "group_dataset",
    "load_dataset",
    "make_phantom",
    "split_dataset",
]
