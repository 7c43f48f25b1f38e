"""Options that the training verbs share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from medsynth.config import parse_assignments, read_toml

__all__ = ["ConfigFile", "Data", "Options", "Positive", "numbers", "settings"]

Data = Annotated[
    str,
    typer.Argument(
        help="A folder of CLASS/*.png or train/CLASS/* and test/CLASS/*, a CSV with the columns "
        "path,label[,group,split], a MedMNIST .npz, a folder of DICOM files with such a CSV, or the word 'phantom'."
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option", "-O", metavar="KEY=VALUE", help="A training setting or an option of the plugin. Repeatable."
    ),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="A TOML file with the tables classifier and generator.")
]
Positive = Annotated[
    str | None, typer.Option("--positive", help="Positive class of a binary task; default: the last class.")
]


def settings(table: str, config: Path | None, options: list[str] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of one stage: the TOML table, then ``-O``, then the options given by name; later ones win."""
    read = read_toml(config)[table] if config else {}
    named = {key: value for key, value in given.items() if value is not None}
    return {**read, **parse_assignments(options or ()), **named}


def numbers(name: str, text: str) -> tuple[float, ...]:
    """The value of ``--name``: a number, or one for each channel with commas."""
    from medsynth.errors import ConfigError

    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--{name} must be a number, or one for each channel with commas. Got {text!r}.") from None
