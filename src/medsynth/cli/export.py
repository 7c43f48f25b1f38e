"""``medsynth export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished training run.")],
    out: Annotated[Path, typer.Option("--out", help="The .onnx file to write.")],
) -> None:
    """Write a trained network as one self-describing ONNX file, checked against Keras.

    Example: medsynth export runs/cls --out classifier.onnx
    """
    from medsynth.artifact import read
    from medsynth.export import export as write

    metadata = read(write(run, out))
    worst = max(metadata.precision["parity"].values())
    unit = "of a probability" if metadata.task == "classifier" else "grey levels"
    typer.echo(
        f"{out}: {metadata.task} of {', '.join(metadata.classes)}; differs from Keras by at most {worst:.2g} {unit}."
    )
