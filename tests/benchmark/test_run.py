from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import medsynth
from medsynth.benchmark import SCHEMA, benchmark
from medsynth.benchmark.inputs import InputPool
from medsynth.benchmark.measure import Rules, measure
from medsynth.errors import ArtifactError, ConfigError
from medsynth.infer.session import Session

if TYPE_CHECKING:
    from types import ModuleType

QUICK = Rules(min_seconds=0.02, min_runs=9)


@pytest.fixture(scope="module", params=["classifier", "generator"])
def session(request: pytest.FixtureRequest, tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Session:
    build = tiny.classifier_file if request.param == "classifier" else tiny.generator_file
    return Session(build(tmp_path_factory.mktemp("model") / f"{request.param}.onnx"), "cpu")


@pytest.fixture(scope="module")
def pool(session: Session, tiny: ModuleType) -> InputPool:
    return InputPool(session.metadata, latent=tiny.LATENT)


class Clock:
    """Time that passes as it is told: each run takes the next of these seconds, the last for ever."""

    def __init__(self, *seconds: float) -> None:
        self.seconds, self.now, self.calls = list(seconds), 0.0, 0

    def __call__(self) -> float:
        self.calls += 1
        if self.calls % 2 == 0:
            self.now += self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        return self.now


def test_a_report(session: Session, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = benchmark(
        session.path, (1, 3), "cpu", rules=QUICK, on_progress=lambda done, total, _: seen.append((done, total))
    )
    assert seen == [(1, 2), (2, 2)]
    assert [row.batch_size for row in report.batches] == [1, 3]
    for row in report.batches:
        assert row.runs >= 9
        assert row.seconds >= 0.02
        assert row.images_per_second == pytest.approx(row.batch_size * row.runs / row.seconds)
        assert row.checked_rows >= row.runs
        assert row.outputs_agree
        assert row.first_run_seconds > 0
    assert report.load_seconds > 0
    report.write(tmp_path / "t.json")
    read = json.loads((tmp_path / "t.json").read_text())
    assert read.keys() == {"schema", "machine", "models"}
    assert read["schema"] == SCHEMA
    assert read["machine"]["cores"] >= read["machine"]["cores_allowed"] >= 1
    (model,) = read["models"]
    assert model["model"]["sha256"] == hashlib.sha256(session.path.read_bytes()).hexdigest()
    assert model["model"]["content_hash"] == session.metadata.content_hash
    assert model["provider"] == "CPUExecutionProvider"
    assert model["nodes"]["CPUExecutionProvider"] >= 1
    assert model["versions"]["onnxruntime"]
    assert str(session.path.parent) not in (tmp_path / "t.json").read_text()


def test_it_is_the_public_function() -> None:
    assert medsynth.benchmark is benchmark


@pytest.mark.parametrize("size", [1, 2, 8, 33])
def test_inputs_are_shuffled_real_and_checked(session: Session, pool: InputPool, size: int) -> None:
    batches = [pool.batch(size) for _ in range(20)]
    for batch in batches:
        assert all(len(values) == size for values in batch.feeds.values())
        assert len(batch.slots) >= 1
        assert pool.difference(batch, session.run(batch.feeds)) <= pool.tolerance
        name = "images" if "images" in batch.feeds else "noise"
        assert all(row.std() > 0 for row in batch.feeds[name])
    first = next(iter(batches[0].feeds))
    assert any(not np.array_equal(batch.feeds[first], batches[0].feeds[first]) for batch in batches[1:])
    assert len({tuple(batch.slots.tolist()) for batch in batches}) > 1 or size == 1
    assert {int(row) for batch in batches for row in batch.golden_rows} == {0, 1, 2, 3}


def test_time_is_counted_around_the_run_alone(session: Session, pool: InputPool) -> None:
    clock = Clock(5.0, *[0.5] * 6, 0.25)
    row = measure(session.run, pool, 4, Rules(min_seconds=2, min_runs=3), clock)
    assert (row.first_run_seconds, row.warmup_runs, row.runs, row.seconds) == (5.0, 6, 8, 2.0)
    assert row.images_per_second == 16
    assert row.median_ms == 250
    assert (row.p90_ms, row.p95_ms, row.p99_ms) == (None, None, None)
    assert row.valid


def test_enough_runs_give_percentiles(session: Session, pool: InputPool) -> None:
    row = measure(session.run, pool, 1, Rules(min_seconds=0, min_runs=130), Clock(1.0))
    assert (row.p90_ms, row.p95_ms, row.p99_ms) == (1000, 1000, None)


def test_a_latency_that_never_settles_is_invalid(session: Session, pool: InputPool) -> None:
    clock = Clock(*[1.0, 2.0, 4.0, 8.0] * 100)
    row = measure(session.run, pool, 1, Rules(min_seconds=1, min_runs=9, max_warmup_seconds=50), clock)
    assert not row.valid
    assert "not stable after" in row.reasons[0]


def test_a_drift_is_invalid_and_nothing_is_dropped(session: Session, pool: InputPool) -> None:
    clock = Clock(*[1.0] * 7, *np.linspace(1, 2, 30))
    row = measure(session.run, pool, 1, Rules(min_seconds=0, min_runs=30), clock)
    assert row.reasons == ("the first, middle and last third of the runs differ by more than 10 %",)
    assert row.runs == 30
    assert row.seconds == pytest.approx(45)


@pytest.mark.parametrize("spoil", [lambda x: x + 2, lambda x: x * np.nan, lambda x: x[:, :1]])
def test_altered_outputs_are_invalid(
    session: Session, pool: InputPool, spoil: Callable[[Any], Any], tmp_path: Path
) -> None:
    def run(feeds: Any) -> dict[str, Any]:
        return {name: spoil(values.astype(np.float32)) for name, values in session.run(feeds).items()}

    row = measure(run, pool, 2, Rules(min_seconds=0, min_runs=9), Clock(1.0))
    assert not row.valid
    assert not row.outputs_agree
    assert "outputs differ from the golden ones" in row.reasons[-1]


@pytest.mark.parametrize("sizes", [(), (0,), (4, -1)])
def test_batch_sizes(session: Session, sizes: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="batch sizes must be at least 1"):
        benchmark(session.path, sizes, "cpu")


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such file"):
        benchmark(tmp_path / "absent.onnx")
