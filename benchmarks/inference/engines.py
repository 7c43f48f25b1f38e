"""The engines: how each is opened, with the settings that its own documentation gives for fast inference on a CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.inference.network import read_network, to_float, with_float_input

Step = Callable[[np.ndarray], np.ndarray]
Prepare = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Files:
    """What a run works on: two artefacts, images of the validation part, and a folder for what engines make."""

    fp32: Path
    int8: Path
    work: Path

    def images(self, part: str) -> np.ndarray:
        """uint8 images; ``timing`` or ``calibration``."""
        return np.load(self.work / f"{part}.npy")


@dataclass(frozen=True)
class Opened:
    """An engine that is ready.

    Attributes:
        step: From prepared pixels to probabilities (n, classes).
        version: Of the package.
        prepare: From uint8 images to what ``step`` takes; not timed.
    """

    step: Step
    version: str
    prepare: Prepare = np.ascontiguousarray


@dataclass(frozen=True)
class Engine:
    """A row of the table."""

    name: str
    precision: str
    open: Callable[[Files], Opened]


def _medsynth(precision: str) -> Callable[[Files], Opened]:
    def open_(files: Files) -> Opened:
        from medsynth import __version__
        from medsynth.infer import load_classifier

        model = load_classifier(files.int8 if precision == "int8" else files.fp32, device="cpu")
        return Opened(lambda x: model.run(x, batch_size=len(x))["probabilities"], __version__)

    return open_


def _onnxruntime(files: Files) -> Opened:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    session = onnxruntime.InferenceSession(with_float_input(files.fp32), providers=["CPUExecutionProvider"])
    mean = read_network(files.fp32).mean
    return Opened(lambda x: session.run(None, {"pixels": x})[0], onnxruntime.__version__, lambda x: to_float(x, mean))


def _openvino(precision: str, source: str) -> Callable[[Files], Opened]:
    def open_(files: Files) -> Opened:
        import openvino

        core = openvino.Core()
        model = _nncf(core, files) if source == "nncf" else core.read_model(getattr(files, source))
        # Where the processor has bf16 its default is bf16, so float32 must be asked for by name.
        settings = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        compiled = core.compile_model(model, "CPU", settings)
        return Opened(lambda x: compiled([x])["probabilities"], openvino.__version__.split("-")[0])

    return open_


def _nncf(core, files: Files):
    """OpenVINO's own quantiser, default settings, on the training images that calibrated our file."""
    import nncf
    import openvino

    path = files.work / "nncf.xml"
    if not path.exists():
        images = [image[None] for image in files.images("calibration")]
        quantised = nncf.quantize(core.read_model(files.fp32), nncf.Dataset(images), subset_size=len(images))
        openvino.save_model(quantised, path, compress_to_fp16=False)
    return core.read_model(path)


def _keras(files: Files) -> Opened:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    from keras import layers, ops

    network = read_network(files.fp32)
    inputs = keras.Input(files.images("timing").shape[1:], dtype="uint8")
    x = ops.cast(inputs, "float32")
    x = ops.subtract(ops.concatenate([x, x, x], axis=-1), network.mean)
    weighted = []
    for kernel, bias, pool in network.convolutions:
        layer = layers.Conv2D(len(bias), 3, padding="same", activation="relu")
        x = layer(x)
        weighted.append((layer, [kernel.transpose(2, 3, 1, 0), bias]))
        x = layers.MaxPooling2D(2)(x) if pool else x
    dense = layers.Dense(len(network.bias), activation="softmax")
    model = keras.Model(inputs, dense(layers.GlobalAveragePooling2D()(x)))
    for layer, values in [*weighted, (dense, [network.kernel, network.bias])]:
        layer.set_weights(values)
    return Opened(lambda x: model.predict(x, batch_size=len(x), verbose=0), keras.__version__)


def _torch(*, channels_last: bool = False, compiled: bool = False, bf16: bool = False) -> Callable[[Files], Opened]:
    def open_(files: Files) -> Opened:
        import torch
        from torch import nn

        network = read_network(files.fp32)
        parts: list[nn.Module] = []
        for kernel, bias, pool in network.convolutions:
            layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
            layer.weight.data, layer.bias.data = torch.tensor(kernel), torch.tensor(bias)
            parts += [layer, nn.ReLU(inplace=True), *([nn.MaxPool2d(2)] if pool else [])]
        dense = nn.Linear(*network.kernel.shape)
        dense.weight.data, dense.bias.data = torch.tensor(network.kernel.T.copy()), torch.tensor(network.bias)
        model = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense, nn.Softmax(dim=1)).eval()
        layout = torch.channels_last if channels_last else torch.contiguous_format
        model = model.to(memory_format=layout)
        if compiled:
            model = torch.compile(model, options={"freezing": True})  # Constant weights: PyTorch's advice for CPUs.
        mean = torch.tensor(network.mean).view(1, 3, 1, 1)

        def step(x: np.ndarray) -> np.ndarray:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                pixels = torch.from_numpy(x).permute(0, 3, 1, 2).float() - mean
                return model(pixels.contiguous(memory_format=layout)).float().numpy()

        return Opened(step, torch.__version__)

    return open_


REFERENCE = "medsynth fp32"

ENGINES = {
    engine.name: engine
    for engine in (
        Engine(REFERENCE, "fp32", _medsynth("fp32")),
        Engine("onnxruntime, as its tutorial", "fp32", _onnxruntime),
        Engine("OpenVINO fp32", "fp32", _openvino("f32", "fp32")),
        Engine("Keras predict", "fp32", _keras),
        Engine("PyTorch eager", "fp32", _torch()),
        Engine("PyTorch channels-last", "fp32", _torch(channels_last=True)),
        Engine("PyTorch compiled", "fp32", _torch(channels_last=True, compiled=True)),
        Engine("OpenVINO bf16, its default here", "bf16", _openvino("bf16", "fp32")),
        Engine("PyTorch bf16", "bf16", _torch(channels_last=True, bf16=True)),
        Engine("PyTorch bf16 compiled", "bf16", _torch(channels_last=True, compiled=True, bf16=True)),
        Engine("medsynth int8", "int8", _medsynth("int8")),
        Engine("OpenVINO on medsynth's int8", "int8", _openvino("f32", "int8")),
        Engine("OpenVINO int8 by NNCF", "int8", _openvino("f32", "nncf")),
    )
}
