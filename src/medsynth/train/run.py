"""The folder of one training run and its manifest ``run.json``.

RUN/run.json         what was trained, on what, how, with which result
RUN/data.csv         every image with label, group and split
RUN/history.jsonl    one line for each epoch (classifier) or step (generator)
RUN/weights.npz      the weights that ``export`` takes
RUN/checkpoint.npz   everything that ``--resume`` needs
RUN/views/           until a classifier is finished: what its frozen layers make of its images
RUN/curves.png       the history as curves; a generator also leaves samples/ and filmstrips
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medsynth.dataset import PARTS
from medsynth.errors import ArtifactError, ConfigError, DataError
from medsynth.images import ImageSpec
from medsynth.outputs import atomic_write, ensure_folder, write_json
from medsynth.plugins import registry
from medsynth.plugins.options import describe_options
from medsynth.train.backend import training_versions

if TYPE_CHECKING:
    from medsynth.config import ClassifierConfig, GeneratorConfig
    from medsynth.dataset import Dataset

__all__ = ["Run", "open_run", "read_history", "start_run", "write_history"]

_SCHEMA = 1
_KIND: dict[str, Literal["backbone", "generator"]] = {"classifier": "backbone", "generator": "generator"}
_LENGTHS = {"classifier": ("epochs",), "generator": ("steps", "minutes")}
"""The settings that may be more when a run is continued."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training run.

    Attributes:
        folder: Where it is.
        task: ``"classifier"`` or ``"generator"``.
        plugin: ``name``, ``distribution`` and ``version`` of the backbone or generator.
        config: The settings, as :meth:`medsynth.config.ClassifierConfig.to_dict` gives them.
        classes: Class names in the order of the outputs.
        positive: The positive class of a binary task.
        image: What the network takes or makes.
        data: ``source``, ``fingerprint`` and ``counts`` (split, class -> images) of the data set, and ``skipped``.
        versions: Of the packages that trained it.
        finished: Whether training came to its end.
        outcome: Results: epochs or steps done, seconds, and for a classifier the validation metrics of the best epoch.
    """

    folder: Path
    task: Literal["classifier", "generator"]
    plugin: Mapping[str, str]
    config: Mapping[str, Any]
    classes: tuple[str, ...]
    positive: str
    image: ImageSpec
    data: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=training_versions)
    finished: bool = False
    outcome: Mapping[str, Any] = field(default_factory=dict)

    @property
    def history(self) -> Path:
        """``history.jsonl``."""
        return self.folder / "history.jsonl"

    @property
    def weights(self) -> Path:
        """``weights.npz``."""
        return self.folder / "weights.npz"

    @property
    def checkpoint(self) -> Path:
        """``checkpoint.npz``."""
        return self.folder / "checkpoint.npz"

    @property
    def views(self) -> Path:
        """``views``."""
        return self.folder / "views"

    def save(self) -> None:
        """Write ``run.json``, atomically."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "folder"}
        fields["image"] = self.image.to_dict()
        write_json(self.folder / "run.json", {"schema": _SCHEMA, **fields})

    def finish(self, outcome: Mapping[str, Any]) -> Run:
        """The run with its result, saved."""
        done = replace(self, finished=True, outcome=outcome)
        done.save()
        return done


def open_run(folder: str | Path) -> Run:
    """Read a run's manifest.

    Raises:
        ArtifactError: The folder holds no run, or its manifest is damaged.
    """
    path = Path(folder) / "run.json"
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields.pop("schema") != _SCHEMA:
            raise ArtifactError(f"{path}: was written by another version of medsynth. Train again.")
        fields["image"] = ImageSpec.from_dict(fields["image"])
        fields["classes"] = tuple(fields["classes"])
        return Run(folder=Path(folder), **fields)
    except FileNotFoundError:
        raise ArtifactError(f"{folder}: must be the folder of a training run, but has no run.json.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{path}: is not a readable run manifest ({error}). Train again.") from None


def start_run(
    task: Literal["classifier", "generator"],
    data: Dataset,
    config: ClassifierConfig | GeneratorConfig,
    *,
    out: str | Path,
    resume: bool,
    sample_weight: str = "",
) -> Run:
    """Create the folder of a run, or open it to continue.

    Args:
        task: What is trained.
        data: The whole data set.
        config: The settings.
        out: The folder.
        resume: Continue the run in ``out``, if there is one.
        sample_weight: Digest of the rows' weights; empty: all weigh the same.

    Raises:
        ConfigError: ``out`` holds a run already and ``resume`` is false, or that run has other settings.
        DataError: The run to resume was trained on other data.
        OutputError: The folder cannot be written to.
    """
    name = config.backbone if task == "classifier" else config.generator  # type: ignore[union-attr]
    run = Run(
        folder=ensure_folder(out),
        task=task,
        plugin=registry().provenance(_KIND[task], name),
        config=config.to_dict(),
        classes=data.classes,
        positive=data.positive,
        image=data.image_spec(config.image_size, config.channels),
        data={
            "source": data.source,
            "fingerprint": data.fingerprint,
            "counts": {part: data.part(part).counts() for part in PARTS if part in data.split},
            "skipped": [{"name": row.name, "reason": row.reason} for row in data.skipped],
            **({"sample_weight": sample_weight} if sample_weight else {}),
        },
    )
    before = open_run(run.folder) if (run.folder / "run.json").exists() else None
    # A run that failed before its first checkpoint (a mistyped option, say) left nothing to go on from.
    if before is None or not (before.finished or before.checkpoint.exists()):
        data.to_csv(run.folder / "data.csv")
        run.save()
        return run
    if not resume:
        raise ConfigError(f"{out}: holds a training run already. Continue it with --resume, or choose another --out.")
    # Settings that there were not yet when it was begun had their defaults.
    before = replace(before, config={**type(config)().to_dict(), **before.config})
    _check_same(before, run)
    longer = any(before.config.get(length) != run.config.get(length) for length in _LENGTHS[task])
    if before.finished and not longer:
        return before
    if before.plugin != run.plugin:
        old, new = before.plugin, run.plugin
        raise ConfigError(
            f"{out}: '{old['name']}' must be that of {old['distribution']} {old['version']}, which began the run: "
            f"another one's defaults may differ. Got {new['distribution']} {new['version']}; install that version, or "
            "choose another --out."
        )
    if longer:
        # Written now: until it has come to its new end, nothing may take it for finished.
        before = replace(before, config=run.config, finished=False, outcome={})
        before.save()
    return before


def _check_same(before: Run, run: Run) -> None:
    """Refuse to continue a run as another one."""
    out, name = run.folder, run.plugin["name"]
    if before.task != run.task or before.plugin["name"] != run.plugin["name"]:
        raise ConfigError(f"{out}: holds a {before.task} run of '{before.plugin['name']}', not of '{name}'.")
    if before.data["fingerprint"] != run.data["fingerprint"]:
        raise DataError(f"{out}: was trained on other images, labels or splits than these. Choose another --out.")
    if before.data.get("sample_weight") != run.data.get("sample_weight"):
        raise DataError(f"{out}: was trained with other values of sample_weight than these. Give the same ones.")
    if before.positive != run.positive:
        raise ConfigError(
            f"{out}: --resume needs the positive class of the run, '{before.positive}'. Got '{run.positive}'."
        )
    lengths = _LENGTHS[run.task]
    for length in lengths:
        if run.config.get(length, math.inf) < before.config.get(length, math.inf):
            raise ConfigError(
                f"{out}: a run can be trained longer, not shorter: it has {length}={before.config.get(length)}. "
                f"Got {run.config[length]}; choose another --out."
            )
    # Fine-tuning begins where the epochs end; the checkpoint counts epochs from the start and says nothing of stages.
    if before.config.get("finetune_epochs", 0) > 0 and before.config["epochs"] != run.config["epochs"]:
        raise ConfigError(
            f"{out}: a run with fine-tuning keeps its number of epochs, {before.config['epochs']}. "
            f"Got {run.config['epochs']}; choose another --out."
        )
    # An option that is given with its default is the same as one that is not given.
    options = describe_options(registry().get(_KIND[run.task], name))
    defaults = {option.name: option.default for option in options}
    old, new = ({**defaults, **each.config, **each.config["options"], "options": None} for each in (before, run))
    changed = sorted(key for key in {*old, *new} - set(lengths) if old.get(key) != new.get(key))
    if changed:
        told = ", ".join(f"{key}={old.get(key)!r} (got {new.get(key)!r})" for key in changed)
        raise ConfigError(f"{out}: a run is continued with its own settings: {told}. Else choose another --out.")


def read_history(path: Path, *, before: int | None = None) -> list[dict[str, Any]]:
    """Lines of a ``history.jsonl``; with ``before``, those with an ``epoch`` or ``step`` below it.

    A last line that a kill cut short is left out.
    """
    rows = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                break
            if before is None or row.get("epoch", row.get("step")) < before:
                rows.append(row)
    return rows


def write_history(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a ``history.jsonl`` anew, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
