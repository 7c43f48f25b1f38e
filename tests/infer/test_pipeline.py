from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from medsynth.errors import ImageError, MissingExtraError
from medsynth.images import ImageSpec, load_image
from medsynth.infer import pipeline
from medsynth.infer.pipeline import decode_batches
from medsynth.infer.sources import Sources

SPEC = ImageSpec(height=4, width=5, channels=1)


def grey(count: int) -> Sources:
    images = tuple(np.full((4, 5), index % 256, np.uint8) for index in range(count))
    return Sources(images, tuple(f"{index}.png" for index in range(count)))


@pytest.mark.parametrize(
    ("count", "size", "first"), [(10, 3, 0), (10, 3, 6), (9, 3, 0), (2, 8, 0), (5, 1, 3), (6, 3, 6)]
)
def test_every_input_once_in_order(count: int, size: int, first: int) -> None:
    values, starts = [], []
    for batch in decode_batches(grey(count), SPEC, batch_size=size, first=first):
        assert all(batch.readable)
        assert not batch.skipped
        starts.append(batch.start)
        values += batch.images[:, 0, 0, 0].tolist()
    assert values == list(range(first, count))
    assert starts == list(range(first, count, size))


def test_buffers_take_turns() -> None:
    """Ten batches in the memory of three, each whole as long as it is the current one."""
    addresses = []
    for batch in decode_batches(grey(100), SPEC, batch_size=10):
        time.sleep(0.01)  # Time to be written over, if it could.
        assert batch.images[:, 0, 0, 0].tolist() == list(range(batch.start, batch.start + 10))
        addresses.append(batch.images.ctypes.data)
    assert addresses == (addresses[:3] * 4)[:10]
    assert len(set(addresses)) == 3


def test_what_cannot_be_read_is_black_where_another_image_was() -> None:
    bright, broken = np.full((4, 5), 255, np.uint8), np.zeros((2, 2, 2), np.uint8)
    sources = Sources((bright, bright, bright, broken), tuple("abcd"))
    last = [batch.images.copy() for batch in decode_batches(sources, SPEC, batch_size=1)][-1]
    assert not last.any()


def test_unreadable_inputs_keep_their_slot(tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    good = np.full((4, 5), 7, np.uint8)
    sources = Sources((good, empty, good, np.zeros((2, 2, 2), np.uint8)), ("a", "b", "c", "d"))
    (batch,) = decode_batches(sources, SPEC, batch_size=8)
    assert batch.readable.tolist() == [True, False, True, False]
    assert batch.images[:, 0, 0, 0].tolist() == [7, 0, 7, 0]
    assert [(entry.name, entry.reason) for entry in batch.skipped] == [
        ("b", "the file is empty."),
        ("d", "an image array must have shape (h, w), (h, w, 1) or (h, w, 3). Got (2, 2, 2)."),
    ]


def test_reading_ahead_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = 0
    lock = threading.Lock()

    def count(source: object, spec: ImageSpec) -> object:
        nonlocal decoded
        with lock:
            decoded += 1
        return load_image(source, spec)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "load_image", count)
    batches = decode_batches(grey(1000), SPEC, batch_size=10)
    for done in range(1, 4):
        next(batches)
        time.sleep(0.05)  # Time to run away, if it could.
        assert decoded <= 10 * (done + 2)
    batches.close()
    settled = decoded
    time.sleep(0.05)
    assert decoded == settled
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_decoding_goes_on_while_the_model_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load_image", lambda source, spec: time.sleep(0.005) or load_image(source, spec))
    began = time.perf_counter()
    for _ in decode_batches(grey(64), SPEC, batch_size=8):
        time.sleep(0.04)
    # One after the other: 64 * 0.005 + 8 * 0.04 s. Overlapped it is near the longer of the two.
    assert time.perf_counter() - began < 0.9 * (64 * 0.005 + 8 * 0.04)


def test_a_missing_library_is_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: object, spec: ImageSpec) -> object:
        raise MissingExtraError("Reading x.dcm", "dicom", missing="pydicom")

    monkeypatch.setattr(pipeline, "load_image", fail)
    with pytest.raises(MissingExtraError, match="pydicom"):
        list(decode_batches(grey(20), SPEC, batch_size=4))


def test_all_unreadable_is_not_this_layers_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: object, spec: ImageSpec) -> object:
        raise ImageError("broken")

    monkeypatch.setattr(pipeline, "load_image", fail)
    batches = list(decode_batches(grey(5), SPEC, batch_size=2))
    assert [len(batch.skipped) for batch in batches] == [2, 2, 1]
