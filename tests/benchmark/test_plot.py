from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from medsynth.benchmark import benchmark
from medsynth.benchmark.plot import check_plot_path, draw, plot_reports
from medsynth.benchmark.trial import Rules
from medsynth.errors import ConfigError

if TYPE_CHECKING:
    from types import ModuleType

    from medsynth.benchmark import BenchmarkReport


@pytest.fixture(scope="module")
def report(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> BenchmarkReport:
    path = tiny.classifier_file(tmp_path_factory.mktemp("model") / "m.onnx")
    return benchmark(path, (4, 1), "cpu", rules=Rules(min_seconds=0.01, min_runs=9))


def test_a_sweep(report: BenchmarkReport) -> None:
    rows = tuple(replace(row, valid=row.batch_size == 1) for row in report.batches)
    speed, latency = draw([replace(report, batches=rows)]).axes
    line, *crosses = speed.lines
    assert line.get_xdata().tolist() == [1, 4]
    assert line.get_ydata().tolist() == [row.images_per_second for row in reversed(rows)]
    assert [(cross.get_marker(), cross.get_xdata().tolist()) for cross in crosses if len(cross.get_xdata())] == [
        ("x", [4])
    ]
    assert latency.lines[0].get_ydata().tolist() == [row.median_ms for row in reversed(rows)]
    assert [text.get_text() for text in speed.get_xticklabels()] == ["1", "4"]
    (legend,) = draw([replace(report, batches=rows)]).legends
    assert [text.get_text() for text in legend.get_texts()] == ["m.onnx (fp32) on cpu, model", "INVALID"]


def test_latencies_of_single_images(report: BenchmarkReport) -> None:
    row = replace(
        report.batches[0], scenario="server", latencies_ms=(3.0, 1.0, 2.0), target_ms=5.0, p99_ms=None, p90_ms=2.5
    )
    (axes,) = draw([replace(report, batches=(row,))]).axes
    assert axes.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert axes.lines[0].get_ydata().tolist() == pytest.approx([100 / 3, 200 / 3, 100])


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_file(report: BenchmarkReport, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p{suffix}"
    plot_reports([report], path)
    assert path.stat().st_size > 1000
    if suffix == ".png":
        with Image.open(path) as picture:
            assert picture.size == (1440, 630)


def test_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--plot must end in .png, .svg, .pdf. Got 'a.jpg'"):
        check_plot_path(tmp_path / "a.jpg")
