"""What an audit says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
        shown: Names of images to look at; each row belongs together.
    """

    code: str
    severity: Severity
    message: str
    evidence: dict[str, Any]
    advice: str
    shown: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The result of :func:`medsynth.dataset.audit_dataset`.

    Attributes:
        source: How a person calls the data.
        images: Number of rows.
        parts: Images of each class in each part.
        findings: What was found, the worst first; empty where nothing was.
        thumbnails: uint8 (64, 64), grey, of every image that a finding shows, by name; not in the JSON.
    """

    source: str
    images: int
    parts: dict[str, dict[str, int]]
    findings: tuple[Finding, ...]
    thumbnails: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict, compare=False, repr=False)

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """Findings of this severity or worse."""
        worse = SEVERITIES[SEVERITIES.index(severity) :]
        return tuple(finding for finding in self.findings if finding.severity in worse)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``schema`` is the version of this layout."""
        findings = tuple(asdict(finding) for finding in self.findings)
        for finding in findings:
            del finding["shown"]  # The evidence names them too.
        return {
            "schema": 1,
            "source": self.source,
            "images": self.images,
            "parts": self.parts,
            "findings": findings,
        }
