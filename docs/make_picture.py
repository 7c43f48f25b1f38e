"""Make the README's picture from what ``medsynth quickstart`` left: real slices of the phantom above generated ones.

python docs/make_picture.py medsynth-quickstart docs/images/quickstart.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import medsynth

COLUMNS = 8


def main(folder: Path, picture: Path) -> None:
    sampler = medsynth.load_model(folder / "generator.onnx", device="cpu")
    train = medsynth.load_dataset("phantom").part("train")
    spec = sampler.image
    rows = []
    for label, name in enumerate(sampler.classes):
        of_class = np.flatnonzero(train.labels == label)
        # Evenly spaced over the patients, not chosen by hand.
        chosen = of_class[np.linspace(0, len(of_class) - 1, COLUMNS).astype(int)]
        rows.append((f"phantom\n{name}", train.take(chosen).decode(spec).images))
    rows += [(f"generated\n{name}", sampler.sample(COLUMNS, label=name, seed=0)) for name in sampler.classes]
    figure = Figure(figsize=(COLUMNS * 1.1 + 1, len(rows) * 1.1), layout="constrained", facecolor="white")
    for axes, (name, images) in zip(figure.subplots(len(rows), 1), rows, strict=True):
        axes.imshow(np.concatenate(list(images[..., 0]), axis=1), cmap="gray", vmin=0, vmax=255)
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    figure.savefig(picture, dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
