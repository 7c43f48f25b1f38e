"""What an audit says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["SEVERITIES", "Audit", "Finding", "Severity"]

Severity: TypeAlias = Literal["info", "warning", "error"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")
"""From the mildest to the worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a person should know.

    Attributes:
        code: Stable name of the kind of finding, for example ``"class-imbalance"``.
        severity: ``info`` (know it), ``warning`` (results may mislead), ``error`` (they will).
        message: What was found, in one sentence.
        evidence: Numbers and up to ten examples; plain values for JSON.
        advice: What to do.
    """

    code: str
    severity: Severity
    message: str
    evidence: dict[str, Any]
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The result of :func:`medsynth.dataset.audit_dataset`.

    Attributes:
        source: How a person calls the data.
        images: Number of rows.
        parts: Images of each class in each part.
        findings: What was found, the worst first; empty where nothing was.
    """

    source: str
    images: int
    parts: dict[str, dict[str, int]]
    findings: tuple[Finding, ...]

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """Findings of this severity or worse."""
        worse = SEVERITIES[SEVERITIES.index(severity) :]
        return tuple(finding for finding in self.findings if finding.severity in worse)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``schema`` is the version of this layout."""
        return {"schema": 1, **asdict(self)}
