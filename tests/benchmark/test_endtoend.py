from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from medsynth.benchmark import benchmark
from medsynth.benchmark.endtoend import Files, FileStream, SingleFiles
from medsynth.benchmark.measure import measure, measure_server
from medsynth.benchmark.trial import Rules, Subject
from medsynth.errors import ConfigError, DataError
from medsynth.images import load_image
from medsynth.infer.model import OpenModel
from medsynth.infer.session import Session

if TYPE_CHECKING:
    from types import ModuleType

QUICK = Rules(min_seconds=0.02, min_runs=9)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty colour pictures of another size than the model's, and a broken file."""
    folder = tmp_path_factory.mktemp("scans")
    random = np.random.default_rng(0)
    for index in range(40):
        Image.fromarray(random.integers(0, 256, (30, 40, 3), np.uint8)).save(folder / f"{index}.png")
    (folder / "7.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def session(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(tiny.classifier_file(tmp_path_factory.mktemp("model") / "m.onnx"), "cpu")


def test_real_images_are_the_inputs_of_the_model_too(session: Session, scans: Path) -> None:
    files = Files(scans, session)
    assert files.decoded.shape == (39, 12, 16, 3)
    assert np.array_equal(files.decoded[0], load_image(scans / "0.png", session.metadata.image))
    assert np.array_equal(files.decoded[7], load_image(scans / "8.png", session.metadata.image))


@pytest.mark.parametrize("size", [1, 7, 64, 100])
def test_a_stream_gives_what_the_model_gives_for_its_files(session: Session, scans: Path, size: int) -> None:
    files = Files(scans, session)
    stream, listed = FileStream(files), iter(files)
    golden_seen = 0
    for number in range(-(-300 // size)):
        batch = stream.batch(size)
        got = stream.run(batch.feeds)
        sources = [next(listed) for _ in range(size)]
        pixels = np.stack([load_image(source, session.metadata.image) for source in sources])
        wanted = session.run({"images": pixels})["probabilities"]
        np.testing.assert_allclose(got["probabilities"], wanted, atol=1e-6)
        assert stream.difference(batch, got) <= stream.tolerance
        golden = [slot for slot, source in enumerate(sources) if isinstance(source, np.ndarray)]
        assert batch.slots.tolist() == golden == [slot for slot in range(size) if (number * size + slot) % 64 == 0]
        assert batch.counted == size - len(golden)
        golden_seen += len(golden)
    assert golden_seen >= 300 // 64


def test_another_batch_size_begins_anew_and_leaves_no_thread(session: Session, scans: Path) -> None:
    before = threading.active_count()
    stream = FileStream(Files(scans, session))
    for size in (4, 2, 4):
        batch = stream.batch(size)
        assert len(batch.slots) == 1
        assert stream.difference(batch, stream.run(batch.feeds)) <= stream.tolerance
    del stream
    assert threading.active_count() == before


def test_golden_rows_are_not_counted(session: Session, scans: Path) -> None:
    stream = FileStream(Files(scans, session))
    row = measure(Subject(stream.run, stream, "end-to-end"), 8, QUICK)
    assert row.scope == "end-to-end"
    assert row.outputs_agree
    assert row.checked_rows >= 1
    share = row.images_per_second * row.seconds / (row.runs * 8)
    assert 62 / 64 <= share < 1


@pytest.mark.parametrize("kind", [FileStream, SingleFiles])
def test_wrong_results_are_invalid(session: Session, scans: Path, kind: type) -> None:
    served: Any = kind(Files(scans, session))

    def wrong(feeds: Any) -> Any:
        return {name: values + np.float32(0.1) for name, values in served.run(feeds).items()}

    row = measure(Subject(wrong, served, "end-to-end"), 1, QUICK)
    assert not row.outputs_agree
    assert any("outputs differ" in reason for reason in row.reasons)


def test_single_files(session: Session, scans: Path) -> None:
    served = SingleFiles(Files(scans, session))
    row = measure(Subject(served.run, served, "end-to-end"), 1, QUICK, scenario="single-stream")
    assert row.runs >= 64
    assert row.p90_ms is not None
    assert row.outputs_agree
    row = measure_server(Subject(served.run, served, "end-to-end"), QUICK, rate=2000, target_ms=60_000)
    assert (row.runs, row.scope, row.checked_rows >= 1, row.outputs_agree) == (662, "end-to-end", True, True)


@pytest.mark.parametrize("scenario", ["offline", "single-stream"])
def test_side_by_side(session: Session, scans: Path, tmp_path: Path, scenario: Any) -> None:
    report = benchmark(session.path, (2, 4), "cpu", images=scans, scenario=scenario, rules=QUICK)
    sizes = (2, 4) if scenario == "offline" else (1,)
    wanted = [(size, scope) for size in sizes for scope in ("model", "end-to-end")]
    assert [(row.batch_size, row.scope) for row in report.batches] == wanted
    assert all(row.outputs_agree and row.checked_rows for row in report.batches)
    report.write(tmp_path / "t.json")
    assert str(scans) not in (tmp_path / "t.json").read_text()
    assert len(json.loads((tmp_path / "t.json").read_text())["models"][0]["batches"]) == len(wanted)


def test_a_file_that_vanishes(session: Session, scans: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes((scans / "0.png").read_bytes())
    stream = FileStream(Files(tmp_path, session))
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match="an image became unreadable while measuring"):
        stream.run(stream.batch(2).feeds)


def test_what_images_do_not_go_with(session: Session, scans: Path, tiny: ModuleType, tmp_path: Path) -> None:
    generator = tiny.generator_file(tmp_path / "g.onnx")
    for model in (Session(generator, "cpu"), OpenModel(session.path, "cpu")):
        with pytest.raises(ConfigError, match="--images needs a classifier that medsynth export wrote"):
            Files(scans, model)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="none of its images can be read"):
        Files(tmp_path / "broken", session)
