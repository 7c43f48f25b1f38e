"""The recipes with the same wall-clock budget, and each without its parts.

python benchmarks/generator/study.py ../shared/data/ct --weights ../shared/weights/vgg16_notop.weights.h5 \
    --positive covid --work DIR --out benchmarks/results/generator/study

Every entry of :data:`PLAN` is one run; its result is a JSON file of its own in --out, and a run that has one is not
repeated, so a killed command goes on with the same line. ``--only NAME`` picks entries, ``--steps N`` trains by steps
instead of minutes, ``-O KEY=VALUE`` changes an option of all of them and wants --work and --out of its own. Generators
see the training part, choose their checkpoint by the validation part, and meet the test part in what is printed here
only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.append(str(Path(__file__).resolve().parent.parent / "classifier"))

import numpy as np
from common import machine
from measures import area, checkerboard, distances, share, similarity, vgg16_features
from PIL import Image

import medsynth
from medsynth.config import parse_assignments
from medsynth.dataset import from_arrays

# With the batch size that suits each.
RECIPES: dict[str, dict[str, Any]] = {"projected": {"batch_size": 16}, "modern": {}, "classic": {}}
# All recipes compute their convolutions in bfloat16 where the processor can.
FAST: dict[str, Any] = {"precision": "auto"}
ABLATIONS: dict[str, dict[str, Any]] = {
    "all": {},
    "auxiliary-head": {"class_loss": "auxiliary"},
    "no-spectral-norm": {"spectral_norm": False},
    "no-average": {"average": 0.0},
    "no-augment": {"augment": "none"},
    "no-conditional-norm": {"conditional_norm": False},
    "no-deviation": {"minibatch_deviation": False},
    "r1": {"r1": 1.0},
    "nearest": {"smooth": False},
    "float32": {"precision": "float32"},
}
# What is asked of one recipe only.
OWN: dict[str, dict[str, dict[str, Any]]] = {
    "projected": {"random-features": {"weights": "none"}, "no-energy": {"energy_weight": 0.0}},
    "modern": {"always-augment": {"augment_target": 0.0}},
}
# Trained from random weights: a classifier that VGG16's features have not taught.
UNTAUGHT: dict[str, Any] = {
    "backbone": "vgg16",
    "weights": "none",
    "width": 0.25,
    "batch_norm": True,
    "head": "gap",
    "epochs": 20,
}
PLAN: dict[str, dict[str, Any]] = {
    **{
        f"64-{recipe}-seed{seed}": {"minutes": 20.0, "image_size": 64, "seed": seed, "recipe": recipe, **own, **FAST}
        for seed in range(3)
        for recipe, own in RECIPES.items()
    },
    **{
        f"ablation-{recipe}-{name}": {
            "minutes": 10.0,
            "image_size": 64,
            "seed": 0,
            "recipe": recipe,
            **RECIPES[recipe],
            **options,
        }
        for recipe, own in OWN.items()
        for name, options in {**ABLATIONS, **own}.items()
    },
    **{
        f"128-{recipe}-seed0": {"minutes": 60.0, "image_size": 128, "seed": 0, "recipe": recipe, **own, **FAST}
        for recipe, own in RECIPES.items()
    },
}


class Study:
    """The judge, the real images, and what they get themselves, at one size."""

    def __init__(self, given: argparse.Namespace, size: int) -> None:
        self.given, self.size = given, size
        self.untaught = size <= 64  # 20 minutes of a core at 64 pixels already.
        self.data = medsynth.load_dataset(given.data, positive=given.positive)
        self.spec = self.data.image_spec(size)
        self.parts = {part: self.data.part(part).decode(self.spec) for part in ("train", "validation", "test")}
        self.judge, self.judged = self.classifier("judge", self.data)
        # By what is appended to the names of its figures: pretrained features, and those of random weights.
        self.spaces: dict[str, str | None] = {"": given.weights, "_random": None}
        self.count = min(given.count, len(self.parts["train"].labels))

    def classifier(
        self, name: str, data: medsynth.Dataset, settings: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """The default classifier (or that of ``settings``) trained on ``data``, and how it does on the test part."""
        folder = self.given.work / f"{self.size}" / name
        settings = settings or {"weights": self.given.weights, **parse_assignments(self.given.classifier_option)}
        run = medsynth.train_classifier(data, out=folder, image_size=self.size, seed=0, resume=True, **settings)
        model = medsynth.load_model(medsynth.export(run, folder / "classifier.onnx"), device="cpu")
        test = self.parts["test"]
        scores = model.run(test.images)["probabilities"][:, model.classes.index(self.data.positive)]
        truth = (test.labels == self.data.positive_index).astype(int)
        right = (scores >= model.metadata.threshold) == truth
        return model, {"accuracy": share(right), "auc": area(truth, scores), "threshold": model.metadata.threshold}

    @cached_property
    def real(self) -> dict[str, np.ndarray]:
        """Features of all real training images in each space."""
        return {space: vgg16_features(self.parts["train"].images, own) for space, own in self.spaces.items()}

    def real_rows(self, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).permutation(len(self.parts["train"].labels))

    def floor(self) -> dict[str, Any]:
        """What real images get: train against test, as it is and with faint noise, and against its other half.

        The noise shows how strict the figures are: a deviation of 4 of 255 grey levels, which the eye hardly sees.
        """
        rows = self.real_rows()
        half = len(rows) // 2
        told: dict[str, Any] = {}
        for space, weights in self.spaces.items():
            train, test = self.real[space], vgg16_features(self.parts["test"].images, weights)
            told["train_against_test" + space] = distances(train, train[rows[: self.count]], test)
            noisy = vgg16_features(with_noise(self.parts["test"].images), weights)
            told["train_against_noisy_test" + space] = distances(train, train[rows[: self.count]], noisy)
            told["halves_of_train" + space] = distances(train, train[rows[:half]], train[rows[half : 2 * half]])
        return {
            "judge_on_real_test": self.judged,
            **({"untaught_on_real_test": self.classifier("untaught", self.data, UNTAUGHT)[1]} if self.untaught else {}),
            **told,
            "ms_ssim": similarity(self.parts["train"].images, self.parts["train"].labels, self.given.pairs),
            "checkerboard": checkerboard(self.parts["train"].images),
            "images": {"reference": self.count, "test": len(self.parts["test"].labels), "half": half},
        }

    def one(self, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Train, sample and measure one entry of the plan."""
        given, folder = self.given, self.given.work / "runs" / name
        if given.steps:
            settings = {**settings, "steps": given.steps, "minutes": None}
        else:
            settings = {"steps": 10**6, **settings}
        settings = {"sample_every": given.every, **settings}
        if settings["recipe"] == "projected":
            settings = {"weights": given.weights, **settings}
        settings |= parse_assignments(given.option)
        run = medsynth.train_generator(self.data, out=folder, resume=True, **settings)
        sampler = medsynth.load_model(medsynth.export(run, folder / "generator.onnx"), device="cpu")
        made = sampler.sample(given.generated, seed=1)
        labels = sampler.labels_for(given.generated, None, 0)
        grid(made[:64], given.out / f"{name}.png")
        answers = self.judge.run(made)["probabilities"][:, self.judge.classes.index(self.data.positive)]
        called = (answers >= self.judge.metadata.threshold) == (labels == self.data.positive_index)
        measured: dict[str, Any] = {}
        for space, weights in self.spaces.items():
            real = self.real[space]
            found = distances(real, real[self.real_rows()[: self.count]], vgg16_features(made[: self.count], weights))
            measured |= {key + space: value for key, value in found.items()}
        return {
            "settings": {key: Path(value).name if key == "weights" else value for key, value in settings.items()},
            "steps": run.outcome["steps"],
            "seconds": run.outcome["seconds"],
            "kept": run.outcome["kept"],
            "warnings": len(run.outcome["warnings"]),
            "judge_accuracy": share(called),
            "train_on_synthetic": self.train_on(made, labels, name),
            # Half of the time that measuring takes; parts are told apart without it.
            **(
                {"untaught_on_synthetic": self.train_on(made, labels, name, settings=UNTAUGHT)}
                if self.untaught and not name.startswith("ablation-")
                else {}
            ),
            **({"real_plus_generated": self.train_on(made, labels, name, real=True)} if given.augmented else {}),
            **measured,
            "ms_ssim": similarity(made, labels, given.pairs),
            "checkerboard": checkerboard(made),
            "generated": given.generated,
            "machine": machine(),
        }

    def train_on(
        self,
        made: np.ndarray,
        labels: np.ndarray,
        name: str,
        *,
        real: bool = False,
        settings: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """A classifier trained on generated images, or on them and the real ones; validated on the real part."""
        taken = ("train", "validation", "test") if real else ("validation", "test")
        parts = [self.parts[part] for part in taken]
        split = ["train"] * len(made) + [word for word, part in zip(taken, parts, strict=True) for _ in part.labels]
        every = np.concatenate([labels, *(part.labels for part in parts)])
        mixed = from_arrays(
            np.concatenate([made, *(part.images for part in parts)]),
            [self.data.classes[label] for label in every],
            split=split,
            positive=self.data.positive,
            source=name,
        )
        what = "real-plus" if real else "untaught-on" if settings else "on"
        return self.classifier(f"{what}-{name}", mixed, settings)[1]


def with_noise(images: np.ndarray, deviation: float = 4.0) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0.0, deviation, images.shape)
    return np.clip(np.round(images + noise), 0, 255).astype(np.uint8)


def grid(images: np.ndarray, path: Path) -> None:
    """Images 0 to 63 in rows of 16, as they come; the labels alternate."""
    rows = [np.concatenate(list(images[start : start + 16, ..., 0]), axis=1) for start in range(0, len(images), 16)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate([row for row in rows if row.shape == rows[0].shape])).save(path)


def write(path: Path, told: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".partial").write_text(json.dumps(told, indent=1) + "\n")
    path.with_suffix(".partial").replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--positive")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=[*PLAN], metavar="NAME", help=f"of {', '.join(PLAN)}")
    parser.add_argument("--steps", type=int, help="train so many steps, whatever they take")
    parser.add_argument("--every", type=int, default=250, help="steps between two looks")
    parser.add_argument("--generated", type=int, default=2000)
    parser.add_argument("--count", type=int, default=1000, help="images on each side of the distances")
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--augmented", action="store_true", help="also train on real and generated images together")
    parser.add_argument("-O", "--option", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--classifier-option", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    studies: dict[int, Study] = {}
    for name in given.only or PLAN:
        path, settings = given.out / f"{name}.json", PLAN[name]
        if path.exists():
            print(f"{name}: {path} has its result", flush=True)
            continue
        size = settings["image_size"]
        if size not in studies:
            studies[size] = Study(given, size)
        study = studies[size]
        if not (given.out / f"real-{size}.json").exists():
            write(given.out / f"real-{size}.json", study.floor())
        write(path, study.one(name, settings))
        print(name, json.dumps(json.loads(path.read_text())["judge_accuracy"]), flush=True)


if __name__ == "__main__":
    main()
