"""``medsynth generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medsynth.cli.infer import Device

__all__ = ["generate"]


def generate(
    model: Annotated[Path, typer.Argument(help="A generator's .onnx file.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for PNG files, which may hold other shards; or FILE.npz, FILE.tar.")
    ],
    count: Annotated[int, typer.Option(min=1, help="How many images.")],
    label: Annotated[str | None, typer.Option(help="Class of all images.", show_default="the classes in turn")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Sample i of a seed is the same on every machine.")] = 0,
    start: Annotated[int, typer.Option(min=0, help="Index of the first sample, for shards.")] = 0,
    device: Device = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Images in one run of the model.")] = 64,
    truncation: Annotated[
        float | None,
        typer.Option(help="No noise farther from 0 than this, at least 0.05: nearer to the usual, less varied."),
    ] = None,
    reject_with: Annotated[
        Path | None,
        typer.Option(
            help="A classifier's .onnx file: draw images again to whose class it gives less than --confidence."
        ),
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(help="Least probability for --reject-with, above 0 and at most 1.")
    ] = None,
    tries: Annotated[
        int | None, typer.Option(min=1, help="At each image, at most, with --reject-with; 100 where not given.")
    ] = None,
) -> None:
    """Draw images from a generator: PNG files, one NPZ or a WebDataset-style tar, marked as synthetic, with a manifest.

    Example: medsynth generate generator.onnx --out generated/ --count 100 --label covid --seed 1

    The second half, as one file: medsynth generate generator.onnx --out b.tar --count 50 --start 50

    Truncation and rejection are recorded with every image. Do not judge such images by the classifier that chose them.
    """
    from medsynth.errors import ConfigError
    from medsynth.infer import Rejection, generate_images, load_classifier, load_sampler
    from medsynth.infer.rejection import TRIES
    from medsynth.progress import progress_bar

    if (reject_with is None) != (confidence is None):
        raise ConfigError("--reject-with FILE and --confidence P go together. Give both or none.")
    if tries is not None and reject_with is None:
        raise ConfigError(f"--tries belongs to --reject-with FILE. Got --tries {tries} without it.")
    sampler, rejection = load_sampler(model, device=device), None
    if reject_with is not None and confidence is not None:
        rejection = Rejection(load_classifier(reject_with, device=device), confidence, tries or TRIES)
    with progress_bar("generate", "images") as report:
        shard = generate_images(
            sampler,
            out,
            count,
            label=label,
            seed=seed,
            start=start,
            batch_size=batch_size,
            truncation=truncation,
            rejection=rejection,
            on_progress=report,
        )
    if not shard.written:
        typer.echo(f"{out}: finished already; left alone.")
        return
    kept = f", {shard.kept} were there already" if shard.kept else ""
    kept += f", chosen from {shard.tried} tries" if rejection else ""
    typer.echo(f"{out}: {shard.written} images written{kept}, on {sampler.session.device}; listed in {shard.manifest}.")
