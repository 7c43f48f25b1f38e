"""What a report is made from."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth.artifact.runtime import runtime_versions
from medsynth.errors import ConfigError, did_you_mean
from medsynth.hints import fits
from medsynth.metrics import STATISTICS
from medsynth.plugins import registry

if TYPE_CHECKING:
    from medsynth.dataset import Audit
    from medsynth.evaluate.classifier import ClassifierReport
    from medsynth.evaluate.generator import GeneratorReport
    from medsynth.evaluate.subjects import DataSummary

__all__ = ["SCHEMA", "Provenance", "Reference", "Report"]

SCHEMA = 1
"""Version of ``metrics.json``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Somebody else's numbers, shown in a column beside ours.

    Attributes:
        label: Head of the column, for example ``"report A: VGG16"``.
        note: How they came about, as far as it matters for the comparison.
        classifier: Metric of :data:`medsynth.metrics.STATISTICS`, or ``specificity``, -> value, on the test part.
        generator: The same, of a classifier's verdict on generated images.

    Raises:
        ConfigError: There is no such metric, or a value is not a finite number.
    """

    label: str
    note: str = ""
    classifier: Mapping[str, float] = field(default_factory=dict)
    generator: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, text in (("label", self.label), ("note", self.note)):
            if not isinstance(text, str):
                raise ConfigError(f"reference: {what} must be text. Got {text!r}.")
        known = [*STATISTICS, "specificity"]
        for what, values in (("classifier", self.classifier), ("generator", self.generator)):
            if not isinstance(values, Mapping):
                raise ConfigError(f"reference {self.label!r}: {what} must map metrics to numbers. Got {values!r}.")
            for name, value in values.items():
                if name not in known:
                    raise ConfigError(
                        f"reference {self.label!r}: {what} must hold metrics among {', '.join(known)}. Got {name!r}."
                        + did_you_mean(str(name), known)
                    )
                if not fits(value, float) or not math.isfinite(value):
                    raise ConfigError(
                        f"reference {self.label!r}: {name} of the {what} must be a finite number. Got {value!r}."
                    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """When, by which software and on which machine the numbers were made.

    Attributes:
        created: ISO 8601, UTC.
        versions: Of Python and the packages that computed.
        hardware: System, processor and number of cores; no host name.
        plugins_left_out: A line for each installed plugin package that could not be used.
    """

    created: str
    versions: Mapping[str, str]
    hardware: Mapping[str, str]
    plugins_left_out: tuple[str, ...]

    @classmethod
    def here_and_now(cls) -> Provenance:
        """Of this process."""
        hardware = {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": str(os.cpu_count()),
        }
        return cls(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=runtime_versions(),
            hardware=hardware,
            plugins_left_out=tuple(map(str, registry().failures)),
        )


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Report:
    """Everything that ``report.html`` and ``metrics.json`` say; sections depend on what is given.

    Attributes:
        data: The data set.
        classifier: On the test part.
        generator: Its images, as the classifier sees them.
        audit: What is wrong with the data set.
        references: Columns for comparison.
        provenance: When, by what and where.
    """

    data: DataSummary
    classifier: ClassifierReport | None = None
    generator: GeneratorReport | None = None
    audit: Audit | None = None
    references: tuple[Reference, ...] = ()
    provenance: Provenance = field(default_factory=Provenance.here_and_now)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``metrics.json``; see :mod:`medsynth.evaluate.report`."""
        provenance = asdict(self.provenance)
        return {
            "schema": SCHEMA,
            "created": provenance.pop("created"),
            "data": self.data.to_dict(),
            "audit": None if self.audit is None else self.audit.to_dict(),
            "classifier": None if self.classifier is None else self.classifier.to_dict(),
            "generator": None if self.generator is None else self.generator.to_dict(),
            "references": [asdict(reference) for reference in self.references],
            "provenance": provenance,
        }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or "unknown"
