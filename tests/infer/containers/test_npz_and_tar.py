"""Samples in one file: what is in it, that shards add up, that nothing is lost or overwritten."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from medsynth.dataset import load_dataset
from medsynth.errors import ConfigError, DataError, OutputError
from medsynth.images import ImageSpec
from medsynth.infer import Sampler, generate_images, load_sampler

if TYPE_CHECKING:
    from types import ModuleType

SUFFIXES = pytest.mark.parametrize("suffix", [".npz", ".tar"])


@pytest.fixture(params=[1, 3])
def sampler(tiny: ModuleType, tmp_path: Path, request: pytest.FixtureRequest) -> Sampler:
    spec = ImageSpec(height=8, width=6, channels=request.param)
    return load_sampler(tiny.generator_file(tmp_path / "g.onnx", ("clear", "naïve / ü"), spec), device="cpu")


def images_of(path: Path, channels: int) -> np.ndarray:
    """uint8 (n, h, w, c), read without medsynth."""
    if path.suffix == ".npz":
        images = np.load(path)["images"]
    else:
        with tarfile.open(path) as tar:
            pngs = [tar.extractfile(name).read() for name in tar.getnames() if name.endswith(".png")]
        images = np.stack([np.asarray(Image.open(io.BytesIO(png))) for png in pngs])
    return images.reshape(*images.shape[:3], channels)


@SUFFIXES
def test_the_images_are_the_samples(sampler: Sampler, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / "deep" / f"out{suffix}"
    seen = []
    shard = generate_images(
        sampler, out, 7, seed=3, start=8, batch_size=3, on_progress=lambda done, total, _: seen.append((done, total))
    )
    assert (shard.written, shard.kept) == (7, 0)
    assert seen == [(0, 7), (3, 7), (6, 7), (7, 7)]
    wanted = sampler.sample(7, seed=3, start=8, batch_size=3)
    assert np.array_equal(images_of(out, sampler.image.channels), wanted)
    assert {path.name for path in out.parent.iterdir()} == {
        out.name,
        f"{out.name}.manifest.csv",
        f"{out.name}.meta.json",
    }
    with shard.manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {
        "path": "00000009.png",
        "label": "naïve / ü",
        "index": "9",
        "seed": "3",
        "model": sampler.metadata.content_hash,
        "synthetic": "true",
    }
    assert len(rows) == 7
    meta = json.loads(Path(f"{out}.meta.json").read_text("utf-8"))
    assert meta["images"] == 7
    assert meta["provider"] == "CPUExecutionProvider"


def test_what_a_tar_holds(sampler: Sampler, tmp_path: Path) -> None:
    out = tmp_path / "out.tar"
    generate_images(sampler, out, 3, seed=5)
    with tarfile.open(out) as tar:
        assert tar.getnames() == [f"{i:08d}.{kind}" for i in range(3) for kind in ("png", "cls", "json")]
        assert {(member.mtime, member.uid, member.uname, member.mode) for member in tar} == {(0, 0, "", 0o644)}
        for index in range(3):
            png, label, mark = (tar.extractfile(f"{index:08d}.{kind}").read() for kind in ("png", "cls", "json"))
            wanted = {"seed": 5, "index": index, "label": sampler.classes[index % 2]}
            assert json.loads(mark) == {**wanted, "model": sampler.metadata.content_hash}
            assert json.loads(Image.open(io.BytesIO(png)).text["synthetic"]) == json.loads(mark)
            assert int(label) == index % 2


def test_an_npz_is_a_data_set(sampler: Sampler, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    generate_images(sampler, out, 20, seed=2, start=5)
    data = load_dataset(out)
    assert data.names == tuple(f"{index:08d}.png" for index in range(5, 25))
    assert data.counts() == {"clear": 10, "naïve / ü": 10}
    assert [data.classes[label] for label in data.labels] == [sampler.classes[index % 2] for index in range(5, 25)]
    decoded = data.decode(sampler.image)
    assert np.array_equal(decoded.images, sampler.sample(20, seed=2, start=5))
    with np.load(out, allow_pickle=False) as archive:
        assert json.loads(str(archive["synthetic"])) == {"seed": 2, "model": sampler.metadata.content_hash}
        assert archive["labels"].dtype == np.int64


def test_a_damaged_npz(sampler: Sampler, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    generate_images(sampler, out, 20)
    out.write_bytes(out.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"^out.npz: cannot be read as a NumPy .npz archive"):
        load_dataset(out)


@SUFFIXES
def test_two_shards_are_one_run(sampler: Sampler, tmp_path: Path, suffix: str) -> None:
    whole, first, second = (tmp_path / f"{name}{suffix}" for name in ("whole", "first", "second"))
    generate_images(sampler, whole, 10, seed=1, batch_size=4)
    generate_images(sampler, first, 4, seed=1, batch_size=4)
    generate_images(sampler, second, 6, seed=1, start=4, batch_size=4)
    both = [images_of(path, sampler.image.channels) for path in (first, second)]
    assert np.array_equal(np.concatenate(both), images_of(whole, sampler.image.channels))
    rows = [Path(f"{path}.manifest.csv").read_text("utf-8").splitlines()[1:] for path in (whole, first, second)]
    assert rows[0] == rows[1] + rows[2]


@SUFFIXES
def test_the_same_order_gives_the_same_bytes(sampler: Sampler, tmp_path: Path, suffix: str) -> None:
    first, second = tmp_path / f"1{suffix}", tmp_path / f"2{suffix}"
    generate_images(sampler, first, 5, batch_size=2)
    generate_images(sampler, second, 5, batch_size=2)
    assert first.read_bytes() == second.read_bytes()


@SUFFIXES
def test_a_finished_file_is_left_alone(
    sampler: Sampler, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / f"out{suffix}"
    generate_images(sampler, out, 5, seed=1)
    before = out.read_bytes()
    monkeypatch.setattr(Sampler, "sample", lambda *_, **__: pytest.fail("drawn again"))
    shard = generate_images(sampler, out, 5, seed=1, batch_size=2)
    assert (shard.written, shard.kept) == (0, 5)
    for changed, what in (({"count": 6}, "count"), ({"seed": 2}, "seed"), ({"label": "clear"}, "label")):
        arguments = {"count": 5, "seed": 1, **changed}
        with pytest.raises(OutputError, match=rf"is there already, but with another {what}\."):
            generate_images(sampler, out, **arguments)
    Path(f"{out}.meta.json").unlink()
    with pytest.raises(OutputError, match="another origin"):
        generate_images(sampler, out, 5, seed=1)
    assert out.read_bytes() == before


@SUFFIXES
def test_a_stopped_run_leaves_nothing_and_is_repeated(sampler: Sampler, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / "out" / f"x{suffix}"

    def stop(done: int, total: int, _: object) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_images(sampler, out, 6, batch_size=2, on_progress=stop)
    assert not list(out.parent.iterdir())
    assert generate_images(sampler, out, 6, batch_size=2).written == 6


@SUFFIXES
def test_the_disk_fills(sampler: Sampler, full_disk: Path, suffix: str) -> None:
    before = sorted(full_disk.iterdir())
    with pytest.raises(OutputError, match=rf"x{suffix}.*: cannot be written \(No space left on device\)"):
        generate_images(sampler, full_disk / f"x{suffix}", 100_000, batch_size=5000)
    assert sorted(full_disk.iterdir()) == before


@pytest.mark.parametrize("name", ["x.png", "x.zip", "x.tar.gz", "x.CSV"])
def test_what_is_neither(sampler: Sampler, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"must be a folder \(for PNG files\), or end in .npz or .tar"):
        generate_images(sampler, tmp_path / name, 1)
    assert not (tmp_path / name).exists()
