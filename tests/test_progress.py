from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING

from medsynth import progress

if TYPE_CHECKING:
    import pytest

FIGURES = {f"discriminator_part_{index}_loss": 1.0 for index in range(8)} | {"images/s": 431.0}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_narrow_terminal_shows_bar_time_left_and_every_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with progress.progress_bar("Training acgan", "steps") as report:
        for step in range(3):
            report(step, 2000, FIGURES)
            print("a line of its own", file=sys.stderr)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "2/2000" in shown
    assert "steps/s" in shown
    assert "left" in shown
    assert all(name in shown for name in FIGURES)
    assert shown.count("a line of its own") == 3
    assert max(map(len, re.split(r"[\r\n]", shown))) <= 80


def test_a_log_file_gets_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    with progress.progress_bar("Training acgan", "steps") as report:
        report(5, 9, {"loss": 1.0})
        report(7, 9, {"loss": 0.5})
        report(9, 9, {"loss": 0.25})
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"Training acgan: 7/9 steps, [\d.]+ steps/s, \d+ s left loss=0.500", lines[1])
    assert re.fullmatch(r"Training acgan: 9/9 steps, [\d.]+ steps/s loss=0.250", lines[2])
