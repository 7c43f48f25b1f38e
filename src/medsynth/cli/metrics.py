"""``medsynth metrics verify | inception``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="The metrics themselves.", no_args_is_help=True)


@app.command()
def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    every: Annotated[bool, typer.Option("--all", help="List what held too, not only a count.")] = False,
) -> None:
    """Try every metric, third-party ones too, on closed forms, invariances and frozen values. Exit 1 if one fails.

    Example: medsynth metrics verify
    """
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from medsynth.errors import CheckFailedError
    from medsynth.testing.proofs import prove_metrics

    proofs = tuple(prove_metrics())
    failed = [proof for proof in proofs if not proof.passed]
    if as_json:
        typer.echo(json.dumps({"schema": 1, "proofs": [asdict(proof) for proof in proofs]}, indent=2))
    else:
        table = Table(title="metrics verify", title_justify="left")
        for column in ("", "metric", "tried", "found"):
            table.add_column(column, overflow="fold")
        for name in dict.fromkeys(proof.metric for proof in proofs):
            own = [proof for proof in proofs if proof.metric == name]
            held = sum(proof.passed for proof in own)
            if held == len(own) and not every:
                table.add_row("ok", name, f"{held} of {len(own)}", "holds")
            for proof in own:
                if every or not proof.passed:
                    verdict, style = ("ok", "") if proof.passed else ("FAILED", "red")
                    table.add_row(verdict, name, proof.name, Text(proof.detail), style=style)
        Console().print(table)
        typer.echo(f"{len(proofs) - len(failed)} of {len(proofs)} hold.")
    if failed:
        raise CheckFailedError(
            f"{len(failed)} of {len(proofs)} fail. The first: {failed[0].metric}, {failed[0].name}: {failed[0].detail}"
        )


@app.command()
def inception(
    out: Annotated[Path, typer.Option("--out", help="The ONNX file to write, for evaluate generator --features.")],
    weights: Annotated[
        str,
        typer.Option(
            help="'imagenet' (Keras downloads them once), or a file of InceptionV3's weights without its top."
        ),
    ] = "imagenet",
) -> None:
    """Write InceptionV3 with Keras' ImageNet weights as an ONNX file of features. Needs the train extra.

    Its distances are called "Keras Inception": it is not the network of the papers, and the numbers differ.

    Example: medsynth metrics inception --out inception.onnx
    """
    from medsynth.train.backend import require_tensorflow

    require_tensorflow("Exporting InceptionV3")
    from medsynth.export.inception import export_inception

    written = export_inception(out, weights=weights)
    typer.echo(f"{written}: give it to medsynth evaluate generator --features.")
