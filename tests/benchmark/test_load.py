from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from medsynth.benchmark import load
from medsynth.benchmark.load import LoadMeter, Other, complaint

needs_proc = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="no /proc/stat")


def work(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


@needs_proc
def test_our_own_work_is_not_foreign_and_another_process_is() -> None:
    """Whatever else runs here: what is ours and what is foreign fit into the processors, and a child is foreign."""
    meter, own, began = LoadMeter(), time.process_time(), time.monotonic()
    work(1.5)
    foreign, seconds = meter.foreign_cores(), time.monotonic() - began
    assert foreign is not None
    assert foreign + (time.process_time() - own) / seconds < len(meter.cores) + 0.15
    spin = "import time\nbegan = time.process_time()\nwhile time.process_time() - began < 0.8: pass"
    meter, began = LoadMeter(), time.monotonic()
    subprocess.run([sys.executable, "-c", spin], check=True)
    time.sleep(max(0.0, 1.1 - (time.monotonic() - began)))
    foreign, seconds = meter.foreign_cores(), time.monotonic() - began
    assert foreign is not None
    assert foreign * seconds > 0.75


def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, busy_ticks: int, *, seconds: float = 10.0) -> LoadMeter:
    stat = tmp_path / "stat"
    monkeypatch.setattr(load, "_PROC", tmp_path)
    monkeypatch.setattr(load, "allowed_cores", lambda: frozenset({0, 2}))
    monkeypatch.setattr(load.os, "sysconf", lambda _: 100)
    own, now = [5.0], [100.0]
    monkeypatch.setattr(load.time, "process_time", lambda: own[0])
    monkeypatch.setattr(load.time, "monotonic", lambda: now[0])
    row = "cpu{} 10 0 5 1000 7 1 1 {} 0 0\n"
    stat.write_text("cpu 1 2 3\n" + row.format(0, 0) + row.format(1, 0) + row.format(2, 0))
    meter = LoadMeter()
    # Processor 1 is not ours; what is stolen counts.
    stat.write_text("cpu 1 2 3\n" + row.format(0, busy_ticks) + row.format(1, 9000) + row.format(2, 0))
    own[0] += 3.0
    now[0] += seconds
    return meter


def said(meter: LoadMeter) -> str | None:
    return complaint(meter.foreign_cores(), len(meter.cores), meter.others())


def test_what_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    meter = played(monkeypatch, tmp_path, 500)
    assert meter.foreign_cores() == pytest.approx((5.0 - 3.0) / 10.0)
    assert said(meter) == "the machine is busy: other processes used 0.20 of 2 processors"


def test_little_is_forgiven(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert said(played(monkeypatch, tmp_path, 390)) is None


def test_no_verdict_without_time_or_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert said(played(monkeypatch, tmp_path, 500, seconds=0.5)) is None
    monkeypatch.setattr(load, "_PROC", tmp_path / "absent")
    assert said(LoadMeter()) is None


def process(folder: Path, pid: int, name: str, ticks: int, started: int = 7) -> None:
    (folder / str(pid)).mkdir(exist_ok=True)
    (folder / str(pid) / "stat").write_text(f"{pid} ({name}) R{' 0' * 10} {ticks} 100{' 0' * 6} {started} 0 0\n")


def test_others_are_named_busiest_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    process(tmp_path, 11, "train", 5000)
    process(tmp_path, 12, "a) b (c", 0)
    process(tmp_path, 13, "idle", 900)
    process(tmp_path, 14, "old", 9000)
    process(tmp_path, load.os.getpid(), "ours", 0)
    meter = played(monkeypatch, tmp_path, 900)
    process(tmp_path, 11, "train", 5300)
    process(tmp_path, 12, "a) b (c", 900)
    process(tmp_path, 14, "new", 50, started=8)  # The number of one that ended.
    process(tmp_path, load.os.getpid(), "ours", 1000)
    assert meter.others() == (Other("a) b (c", 0.9), Other("train", 0.3), Other("new", 0.15))
    assert str(said(meter)).endswith("used 0.60 of 2 processors (a) b (c 0.90, train 0.30, new 0.15)")
