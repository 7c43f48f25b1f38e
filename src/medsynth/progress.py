"""How long work tells that it is alive: a bar with time left on a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["OnProgress", "progress_bar"]

OnProgress: TypeAlias = Callable[[int, int, Mapping[str, float]], None]
"""Called with (done, total, named figures to show)."""

_SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def progress_bar(description: str, unit: str) -> Iterator[OnProgress]:
    """Show progress on standard error, leaving standard output to results.

    Args:
        description: What is being done.
        unit: What is counted, in the plural (``"steps"``).

    Yields:
        A function to call with (done, total, figures).
    """
    with _terminal_bar(description, unit) if sys.stderr.isatty() else _log_lines(description, unit) as report:
        yield report


@contextmanager
def _terminal_bar(description: str, unit: str) -> Iterator[OnProgress]:
    # Imported here: rich costs a tenth of a second that `import medsynth` need not pay.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Bar(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            yield from super().get_renderables()
            # On lines of their own, because beside the bar they would push it and the time left off the terminal.
            yield from [Text(f"  {task.fields['figures']}") for task in self.tasks if task.fields["figures"]]

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=None, speed="", figures="")
        began = time.monotonic()
        first: int | None = None

        def report(done: int, total: int, figures: Mapping[str, float]) -> None:
            nonlocal first
            first = done if first is None else first  # A resumed run does not begin at 0.
            bar.update(
                task, completed=done, total=total, speed=_speed(done - first, began, unit), figures=_say(figures)
            )

        yield report


@contextmanager
def _log_lines(description: str, unit: str) -> Iterator[OnProgress]:
    began = last = time.monotonic()
    first: int | None = None

    def report(done: int, total: int, figures: Mapping[str, float]) -> None:
        nonlocal first, last
        first = done if first is None else first
        now = time.monotonic()
        if now - last < _SECONDS_BETWEEN_LINES and done < total:
            return
        last = now
        rate = (done - first) / max(now - began, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate > 0 and done < total else ""
        line = f"{description}: {done}/{total} {unit}, {_speed(done - first, began, unit)}{left} {_say(figures)}"
        print(line.rstrip(), file=sys.stderr, flush=True)

    yield report


def _speed(done: int, began: float, unit: str) -> str:
    return f"{done / max(time.monotonic() - began, 1e-9):.1f} {unit}/s"


def _say(figures: Mapping[str, float]) -> str:
    return " ".join(f"{name}={value:.3f}" for name, value in figures.items())
