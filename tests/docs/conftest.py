"""The workshop: the folder in which the pages' code runs, with small stand-ins of the names that the pages use."""

from __future__ import annotations

import functools
import importlib
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

_SMALL_CLASSIFIER = {
    "backbone": "tiny-cnn",
    "options": {"width": 4},
    "image_size": 32,
    "epochs": 1,
    "batch_size": 16,
}
_SMALL_GENERATOR = {
    "generator": "acgan",
    "options": {"recipe": "classic"},  # the cheapest
    "image_size": 16,
    "steps": 4,
    "batch_size": 8,
    "sample_every": 2,
}


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    """``ct/``, ``scans/``, ``patients/``, ``dicom/``, ``pneumoniamnist.npz``, two training runs and two artefacts."""
    from medsynth.config import ClassifierConfig, GeneratorConfig
    from medsynth.dataset import make_phantom
    from medsynth.export import export
    from medsynth.train import train_classifier, train_generator

    root = tmp_path_factory.mktemp("workshop")
    drawn = make_phantom(patients=28, slices_per_patient=4, size=48)
    for index, pixels in enumerate(drawn.images):
        label = ("non-covid", "covid")[drawn.labels[index]]
        _save(pixels, root / "ct" / ("train" if index < 80 else "test") / label / f"{label}-{index}.png")
    for name, pixels in zip("abcdef", drawn.images, strict=False):
        _save(pixels, root / "scans" / f"{name}.png")
    for patient in range(4):
        for cut in range(2):
            _save(drawn.images[4 * patient + cut], root / "patients" / f"p{patient + 1:02d}" / f"{cut + 1}.png")
    parts = {"train": slice(0, 60), "val": slice(60, 84), "test": slice(84, 112)}
    arrays = {f"{part}_images": drawn.images[rows] for part, rows in parts.items()}
    arrays |= {f"{part}_labels": drawn.labels[rows, None] for part, rows in parts.items()}
    np.savez(root / "pneumoniamnist.npz", **arrays)
    _write_dicom(root / "dicom", drawn.images[:8], drawn.labels[:8])

    runs = (
        train_classifier(root / "ct", out=root / "runs/cls", config=ClassifierConfig(**_SMALL_CLASSIFIER)),
        train_generator(root / "ct", out=root / "runs/gan", config=GeneratorConfig(**_SMALL_GENERATOR)),
    )
    for run in runs:
        export(run, root / f"{run.task}.onnx")
    return root


@pytest.fixture
def bench(workshop, tmp_path, monkeypatch):
    """A copy of the workshop as the working folder, in which training, timing and the phantom are small.

    What a page asks for is checked as it stands (names and values of settings, options of plugins); then it is done in
    miniature, or, for ``ct/``, has been done in the workshop already.
    """
    import medsynth
    import medsynth.dataset.load
    import medsynth.train
    from medsynth.config import ClassifierConfig, GeneratorConfig

    folder = tmp_path / "bench"
    shutil.copytree(workshop, folder)
    monkeypatch.chdir(folder)
    for kind, config, small, ready in (
        ("classifier", ClassifierConfig, _SMALL_CLASSIFIER, "runs/cls"),
        ("generator", GeneratorConfig, _SMALL_GENERATOR, "runs/gan"),
    ):
        train = _miniature(getattr(medsynth.train, f"train_{kind}"), config, small, workshop / ready)
        monkeypatch.setattr(medsynth, f"train_{kind}", train)
        monkeypatch.setattr(medsynth.train, f"train_{kind}", train)
    drawn = functools.partial(medsynth.dataset.make_phantom, patients=28, size=48)
    monkeypatch.setattr(medsynth.dataset.load, "make_phantom", drawn)
    timing = importlib.import_module("medsynth.benchmark.run")  # medsynth.benchmark is the function.
    quick = functools.partial(timing.Rules, min_seconds=0.05, max_warmup_seconds=0.5)
    monkeypatch.setattr(timing, "Rules", quick)
    return folder


def _miniature(real, config_class, small, ready):
    """A training function that checks what it is asked for and then trains a tiny network, or hands out a ready run."""

    @functools.wraps(real)
    def train(data, *, out, config=None, resume=False, **settings):
        from medsynth.dataset import load_dataset
        from medsynth.plugins import registry
        from medsynth.train import open_run

        asked = config or config_class.from_settings(settings)
        kind = "backbone" if hasattr(asked, "backbone") else "generator"
        registry().create(kind, getattr(asked, kind), asked.options)
        data = load_dataset(data)
        if data.fingerprint != open_run(ready).data["fingerprint"]:
            return real(data, out=out, config=replace(asked, **small), resume=resume)
        shutil.copytree(ready, out, dirs_exist_ok=True)
        return open_run(out)

    return train


def _save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _write_dicom(folder, images, labels):
    """Grey CT slices of 16 bits with a display window, and the CSV of their labels; nothing without pydicom."""
    try:
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
    except ImportError:
        return
    folder.mkdir()
    lines = ["path,label"]
    for index, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        file = Dataset()
        file.file_meta = FileMetaDataset()
        file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = CTImageStorage
        file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = generate_uid()
        file.Rows, file.Columns = pixels.shape
        file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
        file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
        file.RescaleSlope, file.RescaleIntercept = 1, -1000
        file.WindowCenter, file.WindowWidth = -500, 1500
        file.PixelData = (pixels.astype(np.uint16) * 6).tobytes()
        file.save_as(folder / f"slice-{index}.dcm", enforce_file_format=True)
        lines.append(f"slice-{index}.dcm,{('non-covid', 'covid')[label]}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
