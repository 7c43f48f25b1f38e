"""The audit: what is wrong with a data set before anything is trained on it."""

from __future__ import annotations

from medsynth.dataset.audit.findings import SEVERITIES, Audit, Finding, Severity
from medsynth.dataset.audit.run import audit_dataset

__all__ = ["SEVERITIES", "Audit", "Finding", "Severity", "audit_dataset"]
