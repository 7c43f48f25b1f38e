"""``medsynth infer``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medsynth.cli.settings import numbers

if TYPE_CHECKING:
    from medsynth.infer import ForeignFacts

__all__ = ["Device", "infer"]

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or tensorrt; one that does not work is an error.")]


def infer(
    model: Annotated[Path, typer.Argument(help="A classifier's .onnx file, ours or, with --labels, any other.")],
    images: Annotated[
        Path, typer.Argument(help="A folder of images (walked to its leaves), a CSV with a column path, or one image.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The table to write: .csv, .jsonl or .parquet.")],
    device: Device = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Images in one run of the model.")] = 32,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a killed run stopped.")] = False,
    labels: Annotated[
        str | None, typer.Option(metavar="NAMES|FILE", help="Foreign model: class names (a,b,c), or a file of them.")
    ] = None,
    scale: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="Foreign model: it gets (pixel - mean) * scale; 1 or a,b,c.")
    ] = None,
    mean: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="Foreign model: of 0 to 255.", show_default="0")
    ] = None,
    image_size: Annotated[int | None, typer.Option(min=1, help="Foreign model with free height and width.")] = None,
) -> None:
    """Classify a folder of images; those that cannot be read are listed in OUT.meta.json.

    Example: medsynth infer classifier.onnx scans/ --out predictions.csv

    A model of others: medsynth infer resnet.onnx scans/ --out predictions.csv --labels healthy,ill --scale 0.00392
    """
    from medsynth.infer import load_classifier, predict_folder
    from medsynth.outputs import ensure_file
    from medsynth.progress import progress_bar

    ensure_file(out)
    foreign = _foreign_facts(labels, scale, mean, image_size)
    classifier = load_classifier(model, device=device, foreign=foreign)
    began = time.monotonic()
    with progress_bar("infer", "images") as report:
        table = predict_folder(classifier, images, out, batch_size=batch_size, resume=resume, on_progress=report)
    if table is None:
        typer.echo(f"{out}: finished already; left alone.")
        return
    seconds = time.monotonic() - began
    images_done = f"{len(table)} image{'s' * (len(table) != 1)}"
    typer.echo(f"{out}: {images_done} on {classifier.session.device} in {seconds:.1f} s.")
    for label, count in table.predicted.items():
        typer.echo(f"  {label}: {count}")
    if table.skipped:
        first = f"{table.skipped[0].name}: {table.skipped[0].reason}"
        typer.echo(f"{len(table.skipped)} without a row, listed in {out}.meta.json. The first: {first}", err=True)


def _foreign_facts(
    labels: str | None, scale: str | None, mean: str | None, image_size: int | None
) -> ForeignFacts | None:
    """What was given of them; ``None`` where nothing was."""
    from medsynth.infer import ForeignFacts

    given: dict[str, Any] = {}
    if labels is not None:
        given["labels"] = _names(labels)
    for name, text in (("scale", scale), ("mean", mean)):
        if text is not None:
            given[name] = numbers(name, text)
    if image_size is not None:
        given["image_size"] = image_size
    return ForeignFacts(**given) if given else None


def _names(text: str) -> tuple[str, ...]:
    """From a comma-separated list, or from a text file with a name on each line."""
    from medsynth.errors import ConfigError

    try:
        parts = Path(text).read_text(encoding="utf-8-sig").splitlines() if _is_file(text) else text.split(",")
    except UnicodeDecodeError:
        raise ConfigError(f"--labels {text}: must be UTF-8 text. Save it again as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"--labels {text}: cannot be read ({error.strerror or error}).") from error
    names = tuple(part.strip() for part in parts if part.strip())
    if len(names) < 2 or len(set(names)) < len(names):
        raise ConfigError(
            f"--labels must be at least 2 different names, or a file with one on each line. Got {text!r}."
        )
    return names


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # A list longer than a file name may be, for example.
        return False
