"""MLCommons LoadGen and medsynth's own driver on one open model, in turns: do they measure the same?

    python benchmarks/loadgen.py --out benchmarks/results/loadgen.json

Needs ``mlcommons-loadgen`` beside medsynth; where it is absent, it is skipped by name. The model is drawn here
(VGG-like at 128x128, random weights), or is given with ``--model``. Offline compares images/s, SingleStream the median
and the 90th percentile of latencies, Server (Poisson arrivals at half the speed of single images) the median and the
99th. Both drivers call one session with the same kind of images; the order of a pair is A B, then B A.
"""

from __future__ import annotations

import argparse
import array
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from folder import classifier

from medsynth.artifact.runtime import runtime_versions
from medsynth.benchmark.compare import NOISE, judge
from medsynth.benchmark.conditions import read_conditions
from medsynth.benchmark.inputs import InputPool
from medsynth.benchmark.load import LoadMeter, complaint
from medsynth.benchmark.machine import machine_facts
from medsynth.benchmark.measure import measure, measure_server
from medsynth.benchmark.statistics import median_interval
from medsynth.benchmark.trial import Rules, Subject
from medsynth.infer.session import Session

try:
    import mlperf_loadgen as lg
except ImportError:
    lg = None

SAMPLES = 64
MOST_REPEATED = 20
BATCH = 8
# Above 1: LoadGen says faster.
FIGURES = {
    "offline": ("images_per_second",),
    "single-stream": ("p50_ms", "p90_ms"),
    "server": ("p50_ms", "p99_ms"),
}


def draw_model(path: Path) -> Path:
    """Some 5 ms for an image: far above what either driver costs, and quick enough for a thousand queries."""
    return classifier(path, 128, [(32, 1), (0, 0), (64, 1), (64, 1), (0, 0), (128, 1), (128, 1), (0, 0)], [])


class Ours:
    """medsynth's driver."""

    def __init__(self, session: Session, seconds: float) -> None:
        self.session = session
        self.subject = Subject(session.run, InputPool(session.metadata))
        self.rules = Rules(min_seconds=seconds)

    def run(self, scenario: str, rate: float) -> dict[str, float]:
        if scenario == "server":
            row = measure_server(self.subject, self.rules, rate=rate, target_ms=1e6, seed=time.time_ns() % 2**32)
        else:
            row = measure(self.subject, BATCH if scenario == "offline" else 1, self.rules, scenario=scenario)
        return {
            "images_per_second": row.images_per_second,
            # The plain percentiles, as LoadGen has them, in the place of the upper bounds that are published.
            **{f"p{share}_ms": float(np.percentile(row.latencies_ms, share)) for share in (50, 90, 99)},
        }


class LoadGen:
    """MLCommons' driver; the system under test answers a query before it takes the next one, as ours does."""

    def __init__(self, session: Session, seconds: float) -> None:
        self.session, self.seconds = session, seconds
        batch = InputPool(session.metadata).batch(SAMPLES)
        self.images = batch.feeds["images"]
        self.kept: list[array.array[int]] = []

    def run(self, scenario: str, rate: float) -> dict[str, float]:
        settings = lg.TestSettings()
        settings.mode = lg.TestMode.PerformanceOnly
        settings.scenario = {
            "offline": lg.TestScenario.Offline,
            "single-stream": lg.TestScenario.SingleStream,
            "server": lg.TestScenario.Server,
        }[scenario]
        settings.min_duration_ms = round(1000 * self.seconds)
        settings.min_query_count = {"offline": 1, "single-stream": 64, "server": 662}[scenario]
        settings.offline_expected_qps = rate
        settings.single_stream_expected_latency_ns = round(1e9 / rate)
        settings.server_target_qps = rate
        settings.server_target_latency_ns = 10**12
        settings.schedule_rng_seed = time.time_ns() % 2**32
        settings.sample_index_rng_seed = 1
        log = lg.LogSettings()
        log.enable_trace = False
        with tempfile.TemporaryDirectory() as folder:
            log.log_output.outdir = folder
            log.log_output.copy_summary_to_stdout = False
            sut = lg.ConstructSUT(self._answer, lambda: None)
            qsl = lg.ConstructQSL(SAMPLES, SAMPLES, lambda _: None, lambda _: None)
            try:
                for _ in range(3):  # Warm-up, which LoadGen leaves to the system under test.
                    self.session.run({"images": self.images[: BATCH if scenario == "offline" else 1]})
                lg.StartTestWithLogSettings(sut, qsl, settings, log)
            finally:
                lg.DestroyQSL(qsl)
                lg.DestroySUT(sut)
            said = {}
            for line in (Path(folder) / "mlperf_log_detail.txt").read_text().splitlines():
                entry = json.loads(line.removeprefix(":::MLLOG "))
                said[entry["key"]] = entry["value"]
        self.kept.clear()
        speed = said.get("result_samples_per_second") or said.get("result_completed_samples_per_sec") or 0.0
        nanoseconds = {share: said.get(f"result_{share}.00_percentile_latency_ns") for share in (50, 90, 99)}
        return {
            "images_per_second": float(speed),
            **{f"p{share}_ms": value / 1e6 for share, value in nanoseconds.items() if value is not None},
        }

    def _answer(self, queries) -> None:
        size = BATCH if len(queries) > 1 else 1
        for start in range(0, len(queries), size):
            part = queries[start : start + size]
            outputs = self.session.run({"images": self.images[[query.index for query in part]]})["probabilities"]
            responses = []
            for query, row in zip(part, outputs, strict=True):
                answer = array.array("B", row.tobytes())
                self.kept.append(answer)
                address, length = answer.buffer_info()
                responses.append(lg.QuerySampleResponse(query.id, address, length))
            lg.QuerySamplesComplete(responses)


def compared(ours: Ours, theirs: LoadGen, scenario: str, rate: float, pairs: int) -> dict[str, object]:
    found = {"loadgen": [], "medsynth": []}
    turns = {"loadgen": theirs, "medsynth": ours}
    repeated = 0
    while len(found["loadgen"]) < pairs and repeated < MOST_REPEATED:
        meter = LoadMeter()
        order = list(turns) if len(found["loadgen"]) % 2 == 0 else list(reversed(turns))
        pair = {name: turns[name].run(scenario, rate) for name in order}
        if complaint(meter.foreign_cores(), len(meter.cores), ()):
            repeated += 1  # What was measured beside other work says nothing about the drivers.
            continue
        for name, figures in pair.items():
            found[name].append(figures)
    if not found["loadgen"]:
        raise SystemExit(f"{scenario}: the machine was busy during all {repeated} pairs; nothing is written")
    result: dict[str, object] = {"pairs": len(found["loadgen"]), "repeated_for_a_busy_machine": repeated}
    if scenario == "server":
        result["rate"] = rate
    for figure in FIGURES[scenario]:
        a, b = ([run[figure] for run in found[name]] for name in ("loadgen", "medsynth"))
        ratios = [x / y if figure == "images_per_second" else y / x for x, y in zip(a, b, strict=True)]
        low, high = median_interval(ratios)
        result[figure] = {
            "loadgen": float(np.median(a)),
            "medsynth": float(np.median(b)),
            "loadgen_speed_over_medsynth": float(np.median(ratios)),
            "interval": [low, high],
            "verdict": verdict(low, high),
            "pairs": [list(pair) for pair in zip(a, b, strict=True)],
        }
    return result


def verdict(low: float, high: float) -> str:
    """``agrees`` where the interval lies within noise, ``differs`` where all of it lies outside, else ``undecided``."""
    if low >= 1 - NOISE and high <= 1 + NOISE:
        return "agrees"
    return "undecided" if judge(low, high, NOISE) == "same" else "differs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a classifier that medsynth wrote; one is drawn where none is given")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement, at least")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if lg is None:
        print("mlcommons-loadgen: not installed, skipped (pip install mlcommons-loadgen)")
        return
    before = read_conditions()
    with tempfile.TemporaryDirectory() as folder:
        session = Session(options.model or draw_model(Path(folder) / "vgg-like.onnx"), "cpu")
        ours, theirs = Ours(session, options.seconds), LoadGen(session, options.seconds)
        single = ours.run("single-stream", 1.0)["images_per_second"]
        rates = {"offline": single, "single-stream": single, "server": round(single / 2, 1)}
        found = {name: compared(ours, theirs, name, rate, options.pairs) for name, rate in rates.items()}
    from importlib.metadata import version

    result = {
        "date": time.strftime("%Y-%m-%d"),
        "model": session.path.name,
        "batch_size_offline": BATCH,
        "noise": NOISE,
        "scenarios": found,
        "load_average": [before.load_average, read_conditions().load_average],
        "machine": machine_facts(),
        "versions": {**runtime_versions(), "mlcommons-loadgen": version("mlcommons-loadgen")},
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    for scenario, figures in found.items():
        for name in FIGURES[scenario]:
            one = figures[name]
            low, high = one["interval"]
            ratio = f"{one['loadgen_speed_over_medsynth']:.3f} ({low:.3f} to {high:.3f}) {one['verdict']}"
            print(f"{scenario:14} {name:18} {one['loadgen']:9.3f} {one['medsynth']:9.3f}   {ratio}")


if __name__ == "__main__":
    main()
