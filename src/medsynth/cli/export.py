"""``medsynth export``."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medsynth.artifact import Metadata

__all__ = ["export"]


class _Precision(StrEnum):
    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


def export(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|MODEL.onnx", help="Folder of a finished training run, or an fp32 .onnx file.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The .onnx file to write.")],
    precision: Annotated[_Precision, typer.Option(help="fp16 for GPUs, int8 for x86 CPUs.")] = _Precision.FP32,
    tta: Annotated[
        int, typer.Option(min=1, max=9, metavar="N", help="Views of each image whose logits a classifier averages.")
    ] = 1,
    calibration: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="The classifier's data set: training images calibrate, validation images judge. "
            "With --tta validation images fit the calibration again. A run remembers its own.",
        ),
    ] = None,
    classifier: Annotated[
        Path | None, typer.Option(help="For a generator: a classifier.onnx that must name its images as before.")
    ] = None,
    max_flips: Annotated[
        float, typer.Option(min=0, max=1, help="Share of decisions that may differ from fp32.")
    ] = 0.005,
    max_auc_change: Annotated[float, typer.Option(min=0, max=1, help="Largest change of the AUC.")] = 0.005,
    max_grey_change: Annotated[
        float, typer.Option(min=0, help="For a generator: largest mean difference in grey levels.")
    ] = 1.0,
    max_worst_grey: Annotated[
        float, typer.Option(min=0, help="For a generator: largest difference of any pixel in grey levels.")
    ] = 64.0,
    fallback: Annotated[
        bool, typer.Option(help="Keep the layers that do most harm in fp32 where the gate would refuse else.")
    ] = True,
) -> None:
    """Write a trained network as one self-describing ONNX file, checked against Keras or, by a gate, against fp32.

    Exit 1 if the gate refuses.

    Example: medsynth export runs/cls --out classifier.onnx

    Example: medsynth export classifier.onnx --out classifier-int8.onnx --precision int8 --calibration ct/
    """
    from medsynth.artifact import read
    from medsynth.export import Budget
    from medsynth.export import export as write

    budget = Budget(flips=max_flips, auc=max_auc_change, mean_grey=max_grey_change, worst_grey=max_worst_grey)
    path = write(
        source,
        out,
        precision=precision.value,
        tta=tta,
        calibration=calibration,
        classifier=classifier,
        budget=budget,
        fallback=fallback,
        tell=typer.echo,
    )
    metadata = read(path)
    typer.echo(f"{out}: {'; '.join(_findings(metadata))}.")
    used = (metadata.precision.get("gate", {}), metadata.tta.get("fitted_on", {}))
    if any(facts.get("same_data_as_training") is False for facts in used):
        typer.echo(
            "The calibration data are not, file by file, those of the training: make sure that no test image is "
            "among them."
        )


def _findings(metadata: Metadata) -> Iterator[str]:
    """What was written, and how far it is from what it was made of."""
    precision, tta = metadata.precision, metadata.tta
    what = f"{metadata.task} of {', '.join(metadata.classes)}"
    if precision["name"] == "fp32":
        yield what
        if not tta:  # Of a file with views, the single view was compared with Keras, and not always here.
            unit = "of a probability" if metadata.task == "classifier" else "grey levels"
            yield f"differs from Keras by at most {max(precision['parity'].values()):.2g} {unit}"
    else:
        yield f"{what} in {precision['name']}"
        yield f"in fp32 stayed {', '.join(precision['kept_in_fp32']) or 'no layer'}"
    if tta:
        worst = max(tta["parity"].values())
        yield f"averages {tta['views']} views; differs from views made by numpy by at most {worst:.2g} of a probability"
