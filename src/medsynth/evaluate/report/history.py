"""What a training run left in its folder that a report shows: its history and its filmstrips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medsynth.errors import DataError
from medsynth.outputs import file_stem
from medsynth.train.run import read_history

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["best_epoch", "filmstrips", "read_series", "thinned"]


def read_series(run: Path) -> dict[str, NDArray[np.float64]]:
    """Columns of ``history.jsonl`` that hold numbers; ``epoch`` or ``step`` counts from 1, as people do.

    Lines without a value for a column hold NaN; a last line that a kill cut short is left out.

    Raises:
        DataError: The folder has no history, or one without a whole line.
    """
    path = run / "history.jsonl"
    try:
        rows = read_history(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} cannot be read ({error}). Give the folder of a training run.") from None
    if not rows:
        raise DataError(f"{path.name} holds no whole line of training history. Give the folder of a training run.")
    names = [name for name in rows[-1] if isinstance(rows[-1][name], int | float)]
    series = {name: np.array([row.get(name, np.nan) for row in rows], float) for name in names}
    for count in {"epoch", "step"} & series.keys():
        series[count] += 1
    return series


def best_epoch(run: Path) -> int | None:
    """The epoch whose weights were kept, counted from 1, where ``run.json`` names one."""
    try:
        return int(json.loads((run / "run.json").read_text(encoding="utf-8"))["outcome"]["best_epoch"]) + 1
    except (OSError, ValueError, KeyError, TypeError):
        return None


def thinned(series: dict[str, NDArray[np.float64]], points: int = 400) -> dict[str, NDArray[np.float64]]:
    """Means over neighbouring lines, so that at most ``points`` are left and noise loses some of its height."""
    length = len(next(iter(series.values())))
    if length <= points:
        return series
    edges = np.linspace(0, length, points + 1).astype(np.int64)[:-1]
    widths = np.diff(np.append(edges, length))
    return {name: np.add.reduceat(values, edges) / widths for name, values in series.items()}


def filmstrips(run: Path, classes: tuple[str, ...]) -> dict[str, Path]:
    """``filmstrip-<class>.png`` of each class that has one; names as :func:`medsynth.outputs.file_stem` spells them."""
    paths = {name: run / f"filmstrip-{file_stem(name)}.png" for name in classes}
    return {name: path for name, path in paths.items() if path.is_file()}
