from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

import medsynth
from medsynth.benchmark import SCHEMA, benchmark
from medsynth.benchmark.inputs import InputPool
from medsynth.benchmark.measure import measure, measure_server
from medsynth.benchmark.reference import ReferencePool
from medsynth.benchmark.trial import Rules, Subject
from medsynth.errors import ArtifactError, ConfigError
from medsynth.infer.model import OpenModel
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
        assert row.checked_rows >= row.runs * row.batch_size // 8
        assert row.outputs_agree
        assert row.first_run_seconds > 0
    assert report.load_seconds > 0
    report.write(tmp_path / "t.json")
    read = json.loads((tmp_path / "t.json").read_text())
    assert read.keys() == {"schema", "machine", "models", "unmeasured"}
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
def test_inputs_are_shuffled_real_and_checked(session: Session, tiny: ModuleType, size: int) -> None:
    pool = InputPool(session.metadata, latent=tiny.LATENT)
    batches = [pool.batch(size) for _ in range(80)]
    for batch in batches:
        assert all(len(values) == size for values in batch.feeds.values())
        assert pool.difference(batch, session.run(batch.feeds)) <= pool.tolerance
        name = "images" if "images" in batch.feeds else "noise"
        assert all(row.std() > 0 for row in batch.feeds[name])
        assert batch.counted == size
    assert len(batches[0].slots) >= 1
    checked = [len(batch.slots) for batch in batches]
    assert sum(checked) == -(-80 * size // 8)
    # Wherever measuring begins, as many images as least_images says hold a golden one.
    runs = -(-pool.least_images // size)
    assert all(sum(checked[start : start + runs]) for start in range(80 - runs))
    first = next(iter(batches[0].feeds))
    assert any(not np.array_equal(batch.feeds[first], batches[0].feeds[first]) for batch in batches[1:])
    assert len({tuple(batch.slots.tolist()) for batch in batches if len(batch.slots)}) > 1 or size == 1
    assert {int(row) for batch in batches for row in batch.golden_rows} == {0, 1, 2, 3}


def test_time_is_counted_around_the_run_alone(session: Session, pool: InputPool) -> None:
    clock = Clock(5.0, *[0.5] * 6, 0.25)
    row = measure(Subject(session.run, pool), 4, Rules(min_seconds=2, min_runs=3), clock=clock)
    assert (row.first_run_seconds, row.warmup_runs, row.runs, row.seconds) == (5.0, 6, 8, 2.0)
    assert row.images_per_second == 16
    assert row.median_ms == 250
    assert (row.p90_ms, row.p95_ms, row.p99_ms) == (None, None, None)
    assert row.valid


def test_enough_runs_give_percentiles(session: Session, pool: InputPool) -> None:
    row = measure(Subject(session.run, pool), 1, Rules(min_seconds=0, min_runs=130), clock=Clock(1.0))
    assert (row.p90_ms, row.p95_ms, row.p99_ms) == (1000, 1000, None)


def test_a_latency_that_never_settles_is_invalid(session: Session, pool: InputPool) -> None:
    clock = Clock(*[1.0, 2.0, 4.0, 8.0] * 100)
    row = measure(Subject(session.run, pool), 1, Rules(min_seconds=1, min_runs=9, max_warmup_seconds=50), clock=clock)
    assert not row.valid
    assert "not stable after" in row.reasons[0]


def test_a_drift_is_invalid_and_nothing_is_dropped(session: Session, pool: InputPool) -> None:
    clock = Clock(*[1.0] * 7, *np.linspace(1, 2, 30))
    row = measure(Subject(session.run, pool), 1, Rules(min_seconds=0, min_runs=30), clock=clock)
    assert row.reasons == ("the first, middle and last third of the runs differ by more than 10 %",)
    assert row.runs == 30
    assert row.seconds == pytest.approx(45)


@pytest.mark.parametrize("spoil", [lambda x: x + 2, lambda x: x * np.nan, lambda x: x[:, :1]])
def test_altered_outputs_are_invalid(
    session: Session, pool: InputPool, spoil: Callable[[Any], Any], tmp_path: Path
) -> None:
    def run(feeds: Any) -> dict[str, Any]:
        return {name: spoil(values.astype(np.float32)) for name, values in session.run(feeds).items()}

    row = measure(Subject(run, pool), 2, Rules(min_seconds=0, min_runs=9), clock=Clock(1.0))
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


def test_single_stream_makes_the_runs_that_its_percentile_needs(session: Session, pool: InputPool) -> None:
    row = measure(
        Subject(session.run, pool), 1, Rules(min_seconds=0, min_runs=9), scenario="single-stream", clock=Clock(1.0)
    )
    assert (row.scenario, row.runs, row.p90_ms, row.p95_ms) == ("single-stream", 64, 1000, None)


class TestServer:
    RULES = Rules(min_seconds=0.02, min_runs=9)

    def test_enough_samples_for_the_99th_percentile(self, session: Session, pool: InputPool) -> None:
        row = measure_server(Subject(session.run, pool), self.RULES, rate=2000, target_ms=10_000)
        assert row.runs == 662
        assert row.p99_ms is not None
        assert row.p99_ms >= row.median_ms > 0
        assert (row.scenario, row.rate, row.target_ms) == ("server", 2000, 10_000)
        assert row.images_per_second < 2300
        assert row.outputs_agree
        assert not [reason for reason in row.reasons if "99th" in reason]

    def test_a_queue_that_grows_misses_the_target(self, session: Session, pool: InputPool) -> None:
        """Each run takes 1 ms, but images arrive four times as fast: the last wait for half a second."""

        def slow(feeds: Any) -> Any:
            time.sleep(0.001)
            return session.run(feeds)

        row = measure_server(Subject(slow, pool), self.RULES, rate=4000, target_ms=100)
        assert not row.valid
        assert any("99th percentile may be" in reason and "target 100" in reason for reason in row.reasons)
        assert row.p99_ms is not None
        assert row.p99_ms > 300

    def test_wrong_outputs(self, session: Session, pool: InputPool) -> None:
        def wrong(feeds: Any) -> Any:
            return {name: values + np.float32(2) for name, values in session.run(feeds).items()}

        row = measure_server(Subject(wrong, pool), self.RULES, rate=5000, target_ms=10_000)
        assert any("outputs differ" in reason for reason in row.reasons)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scenario": "multi-stream"}, "scenario must be one of offline, single-stream, server"),
        ({"scenario": "server", "target_ms": 5.0}, "needs --rate, a number above 0. Got None"),
        ({"scenario": "server", "rate": 5.0, "target_ms": 0.0}, "needs --target-ms"),
        ({"rate": 5.0}, "--rate belongs to the scenario server"),
    ],
)
def test_options_that_do_not_fit(session: Session, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        benchmark(session.path, (1,), "cpu", **options)


def foreign(path: Path, shape: list[int | str], kind: int = onnx.TensorProto.FLOAT) -> Path:
    """Several inputs and outputs; the second input is an index."""
    helper, value = onnx.helper, onnx.helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["f"], to=onnx.TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["f"], ["m"], keepdims=0, axes=[1, 2]),
            helper.make_node("Gather", ["table", "i"], ["y"]),
        ],
        "foreign",
        [value("x", kind, shape), value("i", onnx.TensorProto.INT64, shape[:1])],
        [value("m", onnx.TensorProto.FLOAT, shape[:1]), value("y", onnx.TensorProto.FLOAT, [shape[0], 4])],
        [onnx.numpy_helper.from_array(np.arange(8, dtype=np.float32).reshape(2, 4), "table")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    "kind", [onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8, onnx.TensorProto.BOOL]
)
def test_any_model_is_timed(tmp_path: Path, kind: int) -> None:
    path = foreign(tmp_path / "m.onnx", ["n", 5, 6], kind)
    report = benchmark(path, (1, 4), "cpu", rules=QUICK)
    assert [row.batch_size for row in report.batches] == [1, 4]
    assert all(row.outputs_agree and row.checked_rows for row in report.batches)
    assert report.facts["model"]["task"] == "not known"
    assert report.facts["model"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_foreign_model_that_computes_something_else_is_invalid(tmp_path: Path) -> None:
    model = OpenModel(foreign(tmp_path / "m.onnx", ["n", 5, 6]), "cpu")

    def wrong(feeds: Any) -> dict[str, Any]:
        outputs = model.run(feeds)
        return {**outputs, "m": outputs["m"] * np.float32(1.1)}

    row = measure(Subject(wrong, ReferencePool(model)), 3, Rules(min_seconds=0, min_runs=9), clock=Clock(1.0))
    assert not row.outputs_agree
    right = measure(Subject(model.run, ReferencePool(model)), 3, Rules(min_seconds=0, min_runs=9), clock=Clock(1.0))
    assert right.valid


def test_free_axes_and_fixed_batches_of_a_foreign_model(tmp_path: Path) -> None:
    free, fixed = foreign(tmp_path / "free.onnx", ["n", "h", "w"]), foreign(tmp_path / "fixed.onnx", [2, 5, 6])
    with pytest.raises(ConfigError, match=r"free axes besides the batch. Say --image-size"):
        benchmark(free, (1,), "cpu")
    assert benchmark(free, (1,), "cpu", image_size=7, rules=QUICK).batches[0].outputs_agree
    with pytest.raises(ConfigError, match=r"takes batches of 2 only. Say --batch-sizes 2"):
        benchmark(fixed, (1,), "cpu")
    assert benchmark(fixed, (2,), "cpu", rules=QUICK).batches[0].batch_size == 2
