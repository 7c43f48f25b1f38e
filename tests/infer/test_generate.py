from __future__ import annotations

import csv
import json
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from medsynth.dataset import load_dataset
from medsynth.errors import ConfigError, OutputError
from medsynth.images import ImageSpec
from medsynth.infer import Sampler, generate_images, load_sampler

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture
def sampler(tiny: ModuleType, tmp_path: Path) -> Sampler:
    return load_sampler(tiny.generator_file(tmp_path / "g.onnx"), device="cpu")


def names(folder: Path, pattern: str = "*") -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


def test_files_marks_and_manifest(sampler: Sampler, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shard = generate_images(sampler, out, 5, seed=3, start=8, batch_size=2)
    assert (shard.written, shard.kept) == (5, 0)
    assert names(out) == [
        *(f"{i:08d}.png" for i in range(8, 13)),
        "manifest-00000008-00000013.csv",
        "manifest-00000008-00000013.csv.meta.json",
    ]
    expected = sampler.sample(5, seed=3, start=8)
    digest = sampler.metadata.content_hash
    with shard.manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for i, row in enumerate(rows):
        with Image.open(out / row["path"]) as image:
            assert np.array_equal(np.asarray(image), expected[i])
            mark = json.loads(image.text["synthetic"])
        label = ("clear", "opacity")[(8 + i) % 2]
        assert mark == {"seed": 3, "index": 8 + i, "label": label, "model": digest}
        assert row == {
            "path": f"{8 + i:08d}.png",
            "label": label,
            "index": str(8 + i),
            "seed": "3",
            "model": digest,
            "synthetic": "true",
        }
    meta = json.loads(Path(f"{shard.manifest}.meta.json").read_text())
    assert meta["schema"] == 1
    assert meta["seed"] == 3
    assert meta["images"] == 5
    assert meta["provider"] == "CPUExecutionProvider"
    assert meta["model"]["content_hash"] == digest


def test_an_image_can_be_made_again_from_its_mark_or_its_row_alone(sampler: Sampler, tmp_path: Path) -> None:
    shard = generate_images(sampler, tmp_path / "out", 5, seed=2**63 + 7, start=11, batch_size=3)
    with shard.manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        with Image.open(tmp_path / "out" / row["path"]) as image:
            pixels, mark = np.asarray(image), json.loads(image.text["synthetic"])
        for facts in (mark, row):
            assert facts["model"] == sampler.metadata.content_hash
            again = sampler.sample(1, label=facts["label"], seed=int(facts["seed"]), start=int(facts["index"]))[0]
            assert np.array_equal(again.reshape(pixels.shape), pixels)
        other = tmp_path / f"again-{row['index']}"
        generate_images(sampler, other, 1, label=mark["label"], seed=mark["seed"], start=mark["index"])
        assert (other / row["path"]).read_bytes() == (tmp_path / "out" / row["path"]).read_bytes()


def test_shards_share_a_folder_and_give_the_whole(sampler: Sampler, tmp_path: Path) -> None:
    whole, shards = tmp_path / "whole", tmp_path / "shards"
    generate_images(sampler, whole, 6)
    generate_images(sampler, shards, 2, start=4)
    generate_images(sampler, shards, 4, start=0)
    assert names(whole, "*.png") == names(shards, "*.png")
    for name in names(whole, "*.png"):
        assert (whole / name).read_bytes() == (shards / name).read_bytes()
    assert len(names(shards, "manifest-*.csv")) == 2


def test_the_manifest_is_a_data_set(sampler: Sampler, tmp_path: Path) -> None:
    shard = generate_images(sampler, tmp_path / "out", 12)
    data = load_dataset(shard.manifest)
    assert len(data) == 12
    assert data.counts() == {"clear": 6, "opacity": 6}


def test_a_repeated_run_keeps_what_is_there(sampler: Sampler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    generate_images(sampler, out, 6, batch_size=2)
    (out / "00000003.png").unlink()
    times = {name: (out / name).stat().st_mtime_ns for name in names(out, "*.png")}
    drawn: list[int] = []
    real = Sampler.draw
    monkeypatch.setattr(
        Sampler, "draw", lambda self, labels, start, **k: drawn.append(start) or real(self, labels, start, **k)
    )
    shard = generate_images(sampler, out, 6, batch_size=2)
    assert (shard.written, shard.kept) == (1, 5)
    assert drawn == [2]  # only the batch with the hole
    assert {name: (out / name).stat().st_mtime_ns for name in times} == times
    assert (out / "00000003.png").exists()


def test_another_image_is_never_overwritten(sampler: Sampler, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generate_images(sampler, out, 4, seed=1)
    before = {name: (out / name).read_bytes() for name in names(out)}
    with pytest.raises(OutputError, match=r"00000002.png: is there already, but is not sample 2 .* seed 2 and"):
        generate_images(sampler, out, 4, seed=2, start=2)
    (out / "00000004.png").write_bytes(b"someone's notes")
    with pytest.raises(OutputError, match=r"00000004.png: is there already"):
        generate_images(sampler, out, 1, seed=1, start=4)
    assert {name: (out / name).read_bytes() for name in before} == before


def test_grey_images_and_one_label(tiny: ModuleType, tmp_path: Path) -> None:
    spec = ImageSpec(height=8, width=6, channels=1)
    sampler = load_sampler(tiny.generator_file(tmp_path / "g.onnx", ("ja", "naïve / ü"), spec))
    generate_images(sampler, tmp_path / "out", 2, label="naïve / ü")
    with Image.open(tmp_path / "out" / "00000001.png") as image:
        assert image.mode == "L"
        assert image.size == (6, 8)
        assert json.loads(image.text["synthetic"])["label"] == "naïve / ü"


def test_progress(sampler: Sampler, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    generate_images(sampler, tmp_path, 5, batch_size=2, on_progress=lambda done, total, _: seen.append((done, total)))
    assert seen == [(0, 5), (2, 5), (4, 5), (5, 5)]


def test_memory_does_not_grow_with_the_count(sampler: Sampler, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def stop(done: int, total: int, _: object) -> None:
        if done:
            raise Enough

    tracemalloc.start()
    try:
        with pytest.raises(Enough):
            generate_images(sampler, tmp_path / "out", 10**11, batch_size=2, on_progress=stop)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    assert names(tmp_path / "out")[:2] == ["00000000.png", "00000001.png"]
    assert len(names(tmp_path / "out")) <= 4  # The next batch may have been begun.


def test_bad_arguments_leave_no_file(sampler: Sampler, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for arguments, said in (
        ({"count": 0}, "count must be from 1"),
        ({"count": 1, "start": 2**63}, "count must be from 1 to 0"),
        ({"count": 1, "start": -1}, "start must be"),
        ({"count": 1, "seed": 2**64}, "seed must be from 0"),
        ({"count": 1, "label": "Clear"}, "label must be one of clear, opacity"),
        ({"count": 1, "batch_size": 0}, "batch size must be at least 1"),
    ):
        with pytest.raises(ConfigError, match=said):
            generate_images(sampler, out, **arguments)
    assert not out.exists() or not names(out)


def test_unwritable_folder(sampler: Sampler, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="must be a folder for the results, but is a file"):
        generate_images(sampler, tmp_path / "file", 1)


def test_the_disk_fills(sampler: Sampler, full_disk: Path) -> None:
    with pytest.raises(OutputError, match="No space left on device"):
        generate_images(sampler, full_disk, 100, batch_size=10)
    kept = [name for name in names(full_disk) if name != "fill"]
    assert kept
    assert all(name.endswith(".png") and not name.startswith(".") for name in kept)
    for name in kept:
        with Image.open(full_disk / name) as image:
            image.load()  # whole
