"""Write classifier.onnx, generator.onnx and scans/ (phantom slices) into a folder; tiny networks, seconds to train."""

import sys
from pathlib import Path

from PIL import Image

import medsynth
from medsynth.dataset import make_phantom

out = Path(sys.argv[1])
runs = out / "runs"
classifier = medsynth.train_classifier(
    "phantom", out=runs / "classifier", image_size=32, epochs=1, weights="none", width=0.0625, batch_norm=True
)
medsynth.export(classifier, out / "classifier.onnx")
generator = medsynth.train_generator("phantom", out=runs / "generator", image_size=32, steps=2)
medsynth.export(generator, out / "generator.onnx")
drawn = make_phantom(patients=6, slices_per_patient=2, size=64)
for name, pixels in zip(drawn.names, drawn.images, strict=True):
    path = out / "scans" / Path(name).name
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
