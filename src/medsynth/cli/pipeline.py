"""``medsynth run`` and ``medsynth quickstart``: the whole path in one command."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medsynth.cli.settings import ConfigFile, Data, Options, Positive

if TYPE_CHECKING:
    from medsynth.dataset import Dataset
    from medsynth.evaluate import Reference

__all__ = ["quickstart", "run"]


def quickstart(
    out: Annotated[Path, typer.Option("--out", help="Folder of the results.")] = Path("medsynth-quickstart"),
    seed: Annotated[int, typer.Option(min=0, help="Of the images, the weights and the noise.")] = 0,
) -> None:
    """The whole path on built-in phantom images: offline, in minutes on 2 cores.

    Example: medsynth quickstart --out medsynth-quickstart
    """
    from dataclasses import replace

    from medsynth.dataset import load_dataset
    from medsynth.pipeline import QUICKSTART_CLASSIFIER, QUICKSTART_GENERATOR

    classifier, generator = replace(QUICKSTART_CLASSIFIER, seed=seed), replace(QUICKSTART_GENERATOR, seed=seed)
    _run(load_dataset("phantom", seed=seed), out, classifier, generator)


def run(
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Folder of the results; the same command goes on in it.")],
    weights: Annotated[str | None, typer.Option(help="Of the backbone: imagenet, none, or a file.")] = None,
    positive: Positive = None,
    option: Options = None,
    config: ConfigFile = None,
) -> None:
    """The whole path on your own data: train, export, infer, generate, evaluate, report.

    -O names a setting of one stage (classifier.epochs=5, generator.steps=500, classifier.head=fc4096) or of both
    (seed=1, image_size=64).

    Example: medsynth run ct/ --out runs/ct -O classifier.epochs=5 -O generator.steps=1000
    """
    from medsynth.config import ClassifierConfig, GeneratorConfig, parse_assignments, read_toml
    from medsynth.dataset import load_dataset

    tables = read_toml(config) if config else {"classifier": {}, "generator": {}, "reference": []}
    given = parse_assignments(option or ())
    if weights is not None:
        given["classifier.weights"] = weights
    # Before the data, which take longer to read.
    classifier = ClassifierConfig.from_settings({**tables["classifier"], **_of_stage("classifier", given)})
    generator = GeneratorConfig.from_settings({**tables["generator"], **_of_stage("generator", given)})
    references = tuple(_reference(table) for table in tables["reference"])
    _run(load_dataset(data, positive=positive), out, classifier, generator, references)


def _run(data: Dataset, out: Path, classifier: Any, generator: Any, references: tuple[Reference, ...] = ()) -> None:
    from medsynth.pipeline import run_pipeline

    began = time.monotonic()
    report = run_pipeline(
        data, out=out, classifier=classifier, generator=generator, references=references, tell=typer.echo
    )
    if report.classifier is not None:
        scores = report.classifier.scores.overall
        typer.echo(f"Test part: accuracy {scores['accuracy'].value:.3f}, AUC {scores['auc'].value:.3f}")
    if report.generator is not None:
        accuracy = report.generator.scores.overall["accuracy"].value
        typer.echo(f"Generated images that the classifier names as their class: {accuracy:.3f}")
    typer.echo(f"{out / 'report.html'}: all of it. {time.monotonic() - began:.0f} s{_peak_memory()}.")


def _peak_memory() -> str:
    try:
        import resource
    except ImportError:  # Windows
        return ""
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes.
    return f", peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30:.1f} GB"


def _of_stage(stage: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What ``-O`` says about one stage: keys with its name before a dot, and settings that every stage has."""
    from medsynth.config import ClassifierConfig, GeneratorConfig
    from medsynth.errors import ConfigError

    shared = ClassifierConfig.field_names() & GeneratorConfig.field_names()
    chosen: dict[str, Any] = {}
    for key, value in given.items():
        prefix, dot, name = key.partition(".")
        if not dot and key not in shared:
            raise ConfigError(
                f"-O {key}: in 'run' a setting must name its stage: classifier.{key} or generator.{key}. "
                f"Both stages share {', '.join(sorted(shared))}."
            )
        if dot and prefix not in {"classifier", "generator"}:
            raise ConfigError(f"-O {key}: the stage must be 'classifier' or 'generator'. Got '{prefix}'.")
        if prefix == stage:
            chosen[name] = value
        elif not dot:
            chosen.setdefault(key, value)
    return chosen


def _reference(table: Mapping[str, Any]) -> Reference:
    from medsynth.errors import ConfigError
    from medsynth.evaluate import Reference

    try:
        return Reference(**table)
    except TypeError:
        raise ConfigError(
            f"[[reference]] may hold label, note, classifier and generator, and must hold label. Got {sorted(table)}."
        ) from None
