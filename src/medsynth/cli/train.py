"""``medsynth train classifier | generator``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medsynth.cli.settings import ConfigFile, Data, Options, Positive, settings

if TYPE_CHECKING:
    from medsynth.dataset import Dataset
    from medsynth.train import Run

__all__ = ["app"]

app = typer.Typer(help="Train a classifier or a generator.", no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out", help="Folder of the run.")]
ImageSize = Annotated[int | None, typer.Option(help="Height and width of the network's images, pixels.")]
Seed = Annotated[int | None, typer.Option(help="Of weights, batch order, augmentation and noise.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
Audit = Annotated[bool, typer.Option(help="Look at the data first and say what was found.")]


@app.command()
def classifier(
    data: Data,
    out: Out,
    backbone: Annotated[str | None, typer.Option(help="Name of a backbone plugin.", show_default="vgg16")] = None,
    weights: Annotated[str | None, typer.Option(help="imagenet, none, or a file; an option of the backbone.")] = None,
    image_size: ImageSize = None,
    epochs: Annotated[int | None, typer.Option(help="Most passes over the training part.")] = None,
    seed: Seed = None,
    positive: Positive = None,
    option: Options = None,
    config: ConfigFile = None,
    resume: Resume = False,
    audit: Audit = True,
) -> None:
    """Train a classifier on the training part, watched on the validation part.

    Example: medsynth train classifier ct/ --out runs/cls --image-size 128 --epochs 10 -O head=fc4096
    """
    from medsynth.config import ClassifierConfig
    from medsynth.dataset import load_dataset
    from medsynth.train import train_classifier

    given = {"backbone": backbone, "weights": weights, "image_size": image_size, "epochs": epochs, "seed": seed}
    chosen = ClassifierConfig.from_settings(settings("classifier", config, option, given))
    table = load_dataset(data, positive=positive)
    if audit:
        _audit(table)
    run = train_classifier(table, out=out, config=chosen, resume=resume)
    best = run.outcome["validation"]
    figures = ", ".join(f"{name} {best[name]:.3f}" for name in ("accuracy", "f1", "auc"))
    typer.echo(f"Best epoch {run.outcome['best_epoch'] + 1} of {run.outcome['epochs']}; validation {figures}.")
    _tell_next(run, f"classifier, positive class '{run.positive}'")


@app.command()
def generator(
    data: Data,
    out: Out,
    generator: Annotated[str | None, typer.Option(help="Name of a generator plugin.", show_default="acgan")] = None,
    weights: Annotated[
        str | None, typer.Option(help="imagenet, none, or a file; for acgan only with -O recipe=projected.")
    ] = None,
    image_size: ImageSize = None,
    steps: Annotated[int | None, typer.Option(help="Training steps.")] = None,
    seed: Seed = None,
    positive: Positive = None,
    option: Options = None,
    config: ConfigFile = None,
    resume: Resume = False,
    audit: Audit = True,
) -> None:
    """Train a class-conditional generator on the training part only.

    Example: medsynth train generator ct/ --out runs/gan --image-size 64 --steps 6000 -O minutes=20
    """
    from medsynth.config import GeneratorConfig
    from medsynth.dataset import load_dataset
    from medsynth.train import train_generator

    given = {"generator": generator, "weights": weights, "image_size": image_size, "steps": steps, "seed": seed}
    chosen = GeneratorConfig.from_settings(settings("generator", config, option, given))
    table = load_dataset(data, positive=positive)
    if audit:
        _audit(table)
    run = train_generator(table, out=out, config=chosen, resume=resume)
    typer.echo(f"{run.outcome['steps']} steps in {run.outcome['seconds']:.0f} s; images form in {out}/filmstrip.gif.")
    _tell_next(run, "generator")


def _audit(data: Dataset) -> None:
    from medsynth.dataset import audit_dataset
    from medsynth.progress import progress_bar

    with progress_bar("audit", "images") as report:
        found = audit_dataset(data, on_progress=lambda done, total: report(done, total, {})).findings
    for finding in found:
        typer.echo(f"{finding.severity} {finding.code}: {finding.message}")


def _tell_next(run: Run, what: str) -> None:
    typer.echo(f"{run.folder}: {what}. Next: medsynth export {run.folder} --out {run.task}.onnx")
