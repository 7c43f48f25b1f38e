"""``medsynth evaluate classifier | generator | compare``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medsynth.cli.infer import Device
from medsynth.cli.settings import Data, Options, numbers

if TYPE_CHECKING:
    from medsynth.dataset import Dataset
    from medsynth.evaluate import GeneratorReport, Report
    from medsynth.evaluate.learners import Retrain
    from medsynth.infer import Classifier, Sampler
    from medsynth.metrics import Scores

__all__ = ["app"]

app = typer.Typer(help="A report on a classifier or a generator.", no_args_is_help=True)

Model = Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="A file that medsynth export wrote.")]


class HeldOut(StrEnum):
    """Parts that a generator has not seen."""

    validation = "validation"
    test = "test"


class Utility(StrEnum):
    """What shows whether generated images help to train."""

    probe = "probe"
    retrain = "retrain"


Out = Annotated[Path, typer.Option("--out", help="Folder for report.html and metrics.json.")]


@app.command()
def classifier(
    model: Model,
    data: Data,
    out: Out,
    run: Annotated[Path | None, typer.Option(help="Folder of the training run, for its curves.")] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Of the positive class where the model is to be used, for PPV and NPV; by default its share in the "
            "test part.",
        ),
    ] = None,
    maps: Annotated[
        int, typer.Option(min=0, help="Images of each kind (right, wrong, undecided) shown with a heat map.")
    ] = 2,
    device: Device = "auto",
) -> None:
    """Evaluate a classifier on the test part of a data set.

    Example: medsynth evaluate classifier classifier.onnx ct/ --out runs/evaluation
    """
    from medsynth.dataset import audit_dataset, load_dataset
    from medsynth.evaluate import DataSummary, Report, evaluate_classifier
    from medsynth.infer import load_classifier
    from medsynth.outputs import ensure_folder
    from medsynth.progress import progress_bar

    ensure_folder(out)  # Told before the work, not after it.
    loaded, table = load_classifier(model, device=device), load_dataset(data)
    with progress_bar("Classifying the test part", "images") as on_progress:
        result = evaluate_classifier(loaded, table, run=run, prevalence=prevalence, maps=maps, on_progress=on_progress)
    report = Report(data=DataSummary.of(table), classifier=result, audit=audit_dataset(table))
    if not result.familiar:
        typer.echo(
            f"{model.name} was trained on other data than {table.source}, or on another split of it. If these test "
            "images were among its training images, the numbers are too good.",
            err=True,
        )
    uses = "first use" if result.uses == 1 else f"use number {result.uses}"
    _finish(out, report, result.scores, f"{result.model.file} on the test part of {table.source} ({uses} of it)")


@app.command()
def generator(
    model: Model,
    data: Data,
    classifier: Annotated[Path, typer.Option("--classifier", metavar="MODEL.onnx", help="Judges the images.")],
    out: Out,
    run: Annotated[Path | None, typer.Option(help="Folder of the training run, for losses and filmstrips.")] = None,
    count: Annotated[int, typer.Option(help="Images to generate.")] = 512,
    features: Annotated[
        Path | None,
        typer.Option(metavar="FILE.onnx", help="Network in whose features distances are measured; the classifier's."),
    ] = None,
    features_scale: Annotated[
        str | None,
        typer.Option(metavar="NUMBERS", help="Float network: it gets (pixel - mean) * scale; 1 number or a,b,c."),
    ] = None,
    features_mean: Annotated[
        str, typer.Option(metavar="NUMBERS", help="Float network: subtracted from pixels of 0 to 255.")
    ] = "0",
    held_out: Annotated[
        HeldOut, typer.Option(help="Real images for utility and privacy: validation, or test for the last look.")
    ] = HeldOut.validation,
    augment: Annotated[bool, typer.Option(help="Let classical augmentation compete with the images.")] = True,
    utility: Annotated[
        Utility,
        typer.Option(
            help="What shows whether the images help: a probe on features (minutes, no TensorFlow), or the "
            "classifier's recipe, trained anew at the generator's size 5 times for each of 6 arms."
        ),
    ] = Utility.probe,
    option: Options = None,
    device: Device = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
) -> None:
    """Evaluate a generator: do its images look real, cover what is real, help to train, give patients away?

    Example: medsynth evaluate generator generator.onnx ct/ --classifier classifier.onnx --out runs/evaluation
    """
    from medsynth.dataset import audit_dataset, load_dataset
    from medsynth.evaluate import DataSummary, Pixels, Report, evaluate_generator, load_features
    from medsynth.infer import load_classifier, load_sampler
    from medsynth.outputs import ensure_folder
    from medsynth.progress import progress_bar

    ensure_folder(out)
    sampler, judge = load_sampler(model, device=device), load_classifier(classifier, device=device)
    network = None
    if features is not None:
        pixels = None
        if features_scale is not None:
            scale, mean = numbers("features-scale", features_scale), numbers("features-mean", features_mean)
            pixels = Pixels(scale=scale, mean=mean)
        network = load_features(features, pixels=pixels, device=device)
    table = load_dataset(data)
    retrain = _retrain(utility, option, table, sampler, judge)
    with progress_bar("Generating", "images") as on_progress:
        result = evaluate_generator(
            sampler,
            table,
            judge,
            count=count,
            seed=seed,
            features=network,
            held_out=held_out.value,
            augment=augment,
            retrain=retrain,
            run=run,
            on_progress=on_progress,
        )
    report = Report(data=DataSummary.of(table), generator=result, audit=audit_dataset(table))
    title = f"{result.classifier.file} on {count:,} images of {result.model.file}"
    _finish(out, report, result.scores, title)
    _show_distances(result)
    for answer in result.answers:
        typer.echo(f"{answer.question} ({answer.light}): {answer.sentence}")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="DIR_A", help="Folder that evaluate generator wrote.")],
    second: Annotated[Path, typer.Argument(metavar="DIR_B", help="Another one.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for compare.html and compare.json.")],
) -> None:
    """Two evaluated generators side by side. Numbers of two feature spaces never stand in one row.

    Example: medsynth evaluate compare runs/classic runs/best --out runs/compared
    """
    from medsynth.evaluate.compare import compare_evaluations
    from medsynth.evaluate.comparison import write_comparison

    result = compare_evaluations(first, second)
    page = write_comparison(out, result)
    for answer in result.answers:
        typer.echo(f"{answer.question}: {answer.first.light} | {answer.second.light}")
    for warning in result.warnings:
        typer.echo(warning, err=True)
    typer.echo(f"Comparison: {page}")


def _retrain(
    utility: Utility, options: list[str] | None, table: Dataset, sampler: Sampler, judge: Classifier
) -> Retrain | None:
    from medsynth.config import parse_assignments
    from medsynth.errors import ConfigError

    if utility is Utility.probe:
        if options:
            raise ConfigError(f"-O sets how a network is retrained: add --utility retrain. Got -O {options[0]}.")
        return None
    from medsynth.train import retrainer

    network = retrainer(
        sampler.image,
        classes=len(table.classes),
        images=table.split.count("train"),
        training=judge.metadata.training,
        **parse_assignments(options or ()),
    )
    typer.echo(f"Utility by training anew, 5 times for each arm: {network.description}.", err=True)
    return network


def _show_distances(result: GeneratorReport) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heads = (("metric", "left"), ("value", "right"), ("95 % interval", "right"), ("real images", "right"))
    for space in dict.fromkeys(row.space for row in result.metrics):
        table = Table(title=Text(f"in {space}" if space else "of images"), title_justify="left")
        for name, justify in heads:
            table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
        for row in result.metrics:
            value, low, high = row.estimate.value, row.estimate.low, row.estimate.high
            if row.space == space and value is None:
                table.add_row(row.name, "none", Text(row.error or ""), "-")
            elif row.space == space:
                span = "-" if low is None or high is None else f"{low:.4g} to {high:.4g}"
                table.add_row(row.name, f"{value:.4g}", span, "-" if row.real is None else f"{row.real:.4g}")
        Console().print(table)


def _finish(out: Path, report: Report, scores: Scores, title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from medsynth.evaluate import write_report

    page = write_report(out, report)
    typer.echo(title)
    table = Table()
    for name, justify in (("metric", "left"), ("value", "right"), ("95 % interval", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for metric, estimate in scores.overall.items():
        value = "-" if estimate.value is None else f"{estimate.value:.3f}"
        span = "-" if estimate.low is None else f"{estimate.low:.3f} to {estimate.high:.3f}"
        table.add_row(metric.replace("_", " "), value, span)
    Console().print(table)
    typer.echo(f"Report: {page}")
