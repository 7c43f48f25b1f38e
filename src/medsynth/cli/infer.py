"""``medsynth infer``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Device", "infer"]

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or tensorrt; one that does not work is an error.")]


def infer(
    model: Annotated[Path, typer.Argument(help="A classifier's .onnx file.")],
    images: Annotated[
        Path, typer.Argument(help="A folder of images (walked to its leaves), a CSV with a column path, or one image.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The table to write: .csv, .jsonl or .parquet.")],
    device: Device = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Images in one run of the model.")] = 32,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a killed run stopped.")] = False,
) -> None:
    """Classify a folder of images; those that cannot be read are listed in OUT.meta.json.

    Example: medsynth infer classifier.onnx scans/ --out predictions.csv
    """
    from medsynth.infer import load_classifier, predict_folder
    from medsynth.progress import progress_bar

    classifier = load_classifier(model, device=device)
    began = time.monotonic()
    with progress_bar("infer", "images") as report:
        table = predict_folder(classifier, images, out, batch_size=batch_size, resume=resume, on_progress=report)
    if table is None:
        typer.echo(f"{out}: finished already; left alone.")
        return
    seconds = time.monotonic() - began
    images_done = f"{len(table)} image{'s' * (len(table) != 1)}"
    typer.echo(f"{out}: {images_done} on {classifier.session.device} in {seconds:.1f} s.")
    for label in table.classes:
        typer.echo(f"  {label}: {table.predicted.count(label)}")
    if table.skipped:
        first = f"{table.skipped[0].name}: {table.skipped[0].reason}"
        typer.echo(f"{len(table.skipped)} could not be read, listed in {out}.meta.json. The first: {first}", err=True)
