from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from medsynth.dataset import load_dataset
from medsynth.errors import ConfigError, OutputError
from medsynth.images import ImageSpec, load_images
from medsynth.infer import Classifier, Rejection, Sampler, generate_images, load_classifier, load_sampler
from medsynth.infer.rejection import STRIDE

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

CLASSES = ("a", "b", "c")


@pytest.fixture(scope="module")
def sampler(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Sampler:
    path = tmp_path_factory.mktemp("models") / "g.onnx"
    return load_sampler(tiny.generator_file(path, CLASSES, ImageSpec(height=8, width=6, channels=1)), device="cpu")


@pytest.fixture(scope="module")
def classifier(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    # Other classes, in another order, of another size.
    path = tmp_path_factory.mktemp("models") / "c.onnx"
    return load_classifier(tiny.classifier_file(path, ("z", *reversed(CLASSES))), device="cpu")


@pytest.fixture(scope="module")
def confidence(sampler: Sampler, classifier: Classifier) -> float:
    """What about half of the images of the class that does worst have."""
    images = sampler.sample(300)
    labels = np.arange(300) % 3
    given = probability(classifier, images, labels)
    return float(min(np.median(given[labels == label]) for label in range(3)))


def probability(classifier: Classifier, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    rows = classifier.run(load_images(list(images), classifier.image))["probabilities"]
    return rows[np.arange(len(rows)), 3 - labels]


def test_images_are_the_first_confident_samples_of_their_places(
    sampler: Sampler, classifier: Classifier, confidence: float
) -> None:
    rejection = Rejection(classifier, confidence)
    images, index = sampler.draw(np.arange(30) % 3, 30, seed=5, batch_size=8, rejection=rejection)
    assert (probability(classifier, images, np.arange(30) % 3) >= confidence).all()
    tries = [1 + at // STRIDE for at in index]
    assert [at % STRIDE for at in index] == list(range(30, 60))
    assert 1 in tries
    assert max(tries) > 1
    for row, at in enumerate(index):
        own = [
            sampler.sample(1, label=row % 3, seed=5, start=30 + row + attempt * STRIDE) for attempt in range(tries[row])
        ]
        given = [probability(classifier, image, np.array([row % 3]))[0] for image in own]
        assert all(value < confidence for value in given[:-1])
        assert np.array_equal(own[-1][0], images[row])
        assert np.array_equal(sampler.sample(1, label=row % 3, seed=5, start=at)[0], images[row])


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_shards_and_batches_do_not_matter(
    sampler: Sampler, classifier: Classifier, confidence: float, batch_size: int
) -> None:
    chosen = {"seed": 2, "rejection": Rejection(classifier, confidence), "truncation": 1.5}
    whole = sampler.sample(12, start=6, **chosen)
    for cut in (0, 5, 11):
        parts = [
            sampler.sample(cut, start=6, batch_size=batch_size, **chosen),
            sampler.sample(12 - cut, start=6 + cut, batch_size=batch_size, **chosen),
        ]
        assert np.array_equal(whole, np.concatenate(parts))


def test_an_image_is_made_again_from_its_mark_or_its_row_alone(
    sampler: Sampler, classifier: Classifier, confidence: float, tmp_path: Path
) -> None:
    chosen = {"seed": 7, "truncation": 1.25, "rejection": Rejection(classifier, confidence)}
    shard = generate_images(sampler, tmp_path / "out", 20, start=4, batch_size=7, **chosen)
    with shard.manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [f"{place:08d}.png" for place in range(4, 24)]
    assert [row["label"] for row in rows] == [CLASSES[place % 3] for place in range(4, 24)]
    for row in rows:
        with Image.open(tmp_path / "out" / row["path"]) as image:
            pixels, mark = np.asarray(image), json.loads(image.text["synthetic"])
        assert mark["classifier"] == row["classifier"] == classifier.metadata.content_hash
        assert mark["confidence"] == float(row["confidence"]) == confidence
        for facts in (mark, row):
            again = sampler.sample(
                1,
                label=facts["label"],
                seed=int(facts["seed"]),
                start=int(facts["index"]),
                truncation=float(facts["truncation"]),
            )
            assert np.array_equal(again[0, ..., 0], pixels)
    meta = json.loads(Path(f"{shard.manifest}.meta.json").read_text())
    assert meta["truncation"] == 1.25
    assert meta["confidence"] == confidence
    assert meta["tried"] == shard.tried == sum(1 + int(row["index"]) // STRIDE for row in rows) > 20
    assert len(load_dataset(shard.manifest)) == 20


def test_shards_in_one_folder_give_the_whole_and_a_repeated_run_keeps_it(
    sampler: Sampler, classifier: Classifier, confidence: float, tmp_path: Path
) -> None:
    chosen = {"rejection": Rejection(classifier, confidence), "batch_size": 3}
    generate_images(sampler, tmp_path / "whole", 9, **chosen)
    generate_images(sampler, tmp_path / "shards", 5, start=4, **chosen)
    generate_images(sampler, tmp_path / "shards", 4, **chosen)
    files = sorted((tmp_path / "whole").glob("*.png"))
    assert len(files) == 9
    for path in files:
        assert path.read_bytes() == (tmp_path / "shards" / path.name).read_bytes()
    manifest = tmp_path / "whole" / "manifest-00000000-00000009.csv"
    before = manifest.read_bytes()
    files[4].unlink()
    shard = generate_images(sampler, tmp_path / "whole", 9, **chosen)
    assert (shard.written, shard.kept) == (1, 8)
    assert manifest.read_bytes() == before
    for other in ({}, {"rejection": Rejection(classifier, confidence / 2)}, {**chosen, "truncation": 1.0}):
        with pytest.raises(OutputError, match="is there already"):
            generate_images(sampler, tmp_path / "whole", 9, **other)


@pytest.mark.parametrize("suffix", [".npz", ".tar"])
def test_one_file_says_what_was_asked_for(
    sampler: Sampler, classifier: Classifier, confidence: float, suffix: str, tmp_path: Path
) -> None:
    chosen = {"truncation": 1.0, "rejection": Rejection(classifier, confidence)}
    shard = generate_images(sampler, tmp_path / f"x{suffix}", 6, **chosen)
    with shard.manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["truncation"] for row in rows} == {"1.0"}
    if suffix == ".npz":
        with np.load(tmp_path / "x.npz") as stored:
            assert stored["index"].tolist() == [int(row["index"]) for row in rows]
            assert json.loads(str(stored["synthetic"]))["classifier"] == classifier.metadata.content_hash
            assert np.array_equal(stored["images"][..., None], sampler.sample(6, **chosen))
    assert generate_images(sampler, tmp_path / f"x{suffix}", 6, **chosen).written == 0
    with pytest.raises(OutputError, match="another truncation and classifier and confidence"):
        generate_images(sampler, tmp_path / f"x{suffix}", 6)


def test_nothing_more_is_said_where_nothing_was_asked_for(sampler: Sampler, tmp_path: Path) -> None:
    shard = generate_images(sampler, tmp_path, 2)
    assert shard.manifest.read_text().splitlines()[0] == "path,label,index,seed,model,synthetic"
    meta = json.loads(Path(f"{shard.manifest}.meta.json").read_text())
    assert not {"truncation", "classifier", "confidence", "tried"} & meta.keys()


def test_tries_end(sampler: Sampler, classifier: Classifier, tmp_path: Path) -> None:
    never = Rejection(classifier, 1.0, tries=3)
    with pytest.raises(ConfigError, match=r"^c.onnx: gave image 0 a probability of 0\.\d+ for 'a' at best, in 3 tries"):
        generate_images(sampler, tmp_path / "out", 4, rejection=never)
    assert not list((tmp_path / "out").iterdir())


def test_what_cannot_be_is_refused(tiny: ModuleType, sampler: Sampler, classifier: Classifier, tmp_path: Path) -> None:
    for confidence, tries, said in ((0.0, 1, "above 0"), (1.1, 1, "at most 1"), (0.5, 0, "tries must be from 1")):
        with pytest.raises(ConfigError, match=said):
            Rejection(classifier, confidence, tries)
    strange = load_classifier(tiny.classifier_file(tmp_path / "s.onnx", ("a", "d")), device="cpu")
    with pytest.raises(ConfigError, match=r"s.onnx: must know every class of the generator, but lacks b, c. Got a, d"):
        generate_images(sampler, tmp_path / "out", 1, rejection=Rejection(strange, 0.5))
    with pytest.raises(ConfigError, match="start must be from 0"):
        generate_images(sampler, tmp_path / "out", 1, start=STRIDE + 1, rejection=Rejection(classifier, 0.5))
    for truncation in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=r"truncation must be from 0.05"):
            generate_images(sampler, tmp_path / "out", 1, truncation=truncation)
    assert not (tmp_path / "out").exists()
