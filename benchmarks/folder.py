"""From a folder of images to a table: against the straightforward script, against the model alone, over many images.

    python benchmarks/folder.py big vgg16 memory kills --out benchmarks/results/folder.json

``big``     2000x2000 colour images with a small model: images/s of medsynth and of the script that a tutorial shows.
``vgg16``   512x512 JPEG files with VGG16 at 224x224: images/s from folder to table over those of the model alone.
``memory``  Peak memory over 1,000 and over 20,000 images.
``kills``   A run over 5,000 images killed (SIGKILL) ten times at random moments and resumed.

Models have random weights, images are drawn here; nothing is downloaded. Compared runs take turns (A B B A), each in a
fresh process where that matters; every figure is the median, with the pairs beside it. The share of the processors that
others used meanwhile is recorded.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from medsynth.artifact import Metadata, write
from medsynth.artifact.runtime import import_onnxruntime, runtime_versions
from medsynth.benchmark.machine import load_average, machine_facts
from medsynth.images import ImageSpec
from medsynth.infer import load_classifier, predict_folder

CLASSES = ("clear", "opacity")
PAIRS = 9


def classifier(path: Path, size: int, convolutions: list[tuple[int, int]], dense: list[int]) -> Path:
    """An artefact with random weights: 3x3 convolutions (filters, stride; filters 0 is 2x2 pooling), dense layers."""
    generator = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["x0"], perm=[0, 3, 1, 2]),
    ]
    weights = {"scale": np.float32(1 / 255)}
    channels, side, last = 3, size, "x0"

    def weight(name: str, *shape: int) -> str:
        weights[name] = generator.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
        return name

    for index, (filters, stride) in enumerate(convolutions, 1):
        if filters:
            kernel = weight(f"k{index}", filters, channels, 3, 3)
            options = {"pads": [1] * 4, "strides": [stride] * 2}
            nodes.append(helper.make_node("Conv", [last, kernel], [f"c{index}"], **options))
            nodes.append(helper.make_node("Relu", [f"c{index}"], [f"x{index}"]))
            channels, side = filters, -(-side // stride)
        else:
            options = {"kernel_shape": [2, 2], "strides": [2, 2]}
            nodes.append(helper.make_node("MaxPool", [last], [f"x{index}"], **options))
            side //= 2
        last = f"x{index}"
    if dense:
        nodes.append(helper.make_node("Flatten", [last], ["flat"]))
        width = channels * side * side
    else:
        nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
        nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
        width = channels
    last = "flat"
    for index, units in enumerate(dense):
        nodes.append(helper.make_node("Gemm", [last, weight(f"d{index}", units, width)], [f"g{index}"], transB=1))
        nodes.append(helper.make_node("Relu", [f"g{index}"], [f"h{index}"]))
        last, width = f"h{index}", units
    nodes += [
        helper.make_node("Identity", [last], ["features"]),
        helper.make_node("Gemm", [last, weight("head", len(CLASSES), width)], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "network",
        [tensor("images", TensorProto.UINT8, ["batch", size, size, 3])],
        [
            tensor("logits", TensorProto.FLOAT, ["batch", len(CLASSES)]),
            tensor("probabilities", TensorProto.FLOAT, ["batch", len(CLASSES)]),
            tensor("features", TensorProto.FLOAT, ["batch", width]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    metadata = Metadata(
        task="classifier",
        classes=CLASSES,
        positive=CLASSES[-1],
        image=ImageSpec(height=size, width=size, channels=3),
        plugin={"name": "benchmark"},
        data={},
        training={},
        validation={},
        intended_use="Measuring speed.",
        versions={},
    )
    write(model, metadata, path)
    return path


def tiny_cnn(path: Path) -> Path:
    """The layers of the plugin tiny-cnn at 128x128."""
    return classifier(path, 128, [(16, 2), (32, 2), (64, 2), (64, 2)], [])


def vgg16(path: Path) -> Path:
    """VGG16 at 224x224 with its two layers of 4096."""
    blocks = [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]
    layers = [layer for filters, times in blocks for layer in [*[(filters, 1)] * times, (0, 0)]]
    return classifier(path, 224, layers, [4096, 4096])


def draw(folder: Path, count: int, side: int, suffix: str, distinct: int = 16) -> Path:
    """Smooth colour pictures with sensor noise; beyond ``distinct`` the files are links to the same contents."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    contents = []
    for _ in range(min(distinct, count)):
        coarse = Image.fromarray(generator.integers(0, 256, (12, 12, 3), np.uint8)).resize((side, side), Image.BICUBIC)
        pixels = np.asarray(coarse, np.float32) + generator.normal(0, 4, (side, side, 1)).astype(np.float32)
        stream = io.BytesIO()
        options = {"quality": 90} if suffix == "jpg" else {}
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, suffix.replace("jpg", "jpeg"), **options)
        contents.append(stream.getvalue())
    for index in range(count):
        target = folder / f"{index:05d}.{suffix}"
        if index < len(contents):
            target.write_bytes(contents[index])
        else:
            os.link(folder / f"{index % len(contents):05d}.{suffix}", target)
    return folder


def straightforward(model: str, folder: str, out: str) -> float:
    """What tutorials show: one image after the other, stack, run. Seconds, without loading the model."""
    onnxruntime = import_onnxruntime()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    _, height, width, _ = session.get_inputs()[0].shape
    began = time.perf_counter()
    rows, names = [], sorted(os.listdir(folder))  # noqa: PTH208
    for start in range(0, len(names), 32):
        images = []
        for name in names[start : start + 32]:
            with Image.open(os.path.join(folder, name)) as image:  # noqa: PTH118
                images.append(np.asarray(image.convert("RGB").resize((width, height), Image.BILINEAR)))
        rows.extend(session.run(["probabilities"], {"images": np.stack(images)})[0])
    with open(out, "w", newline="") as file:  # noqa: PTH123
        writer = csv.writer(file)
        writer.writerow(["path", *CLASSES])
        writer.writerows([name, *row] for name, row in zip(names, rows, strict=True))
    return time.perf_counter() - began


def ours(model: str, folder: str, out: str, batch_size: int = 32) -> float:
    """The same with medsynth."""
    loaded = load_classifier(model, device="cpu")
    began = time.perf_counter()
    predict_folder(loaded, folder, out, batch_size=batch_size)
    return time.perf_counter() - began


def child(function: str, *arguments: str) -> dict[str, Any]:
    """Run one of our functions in a fresh process: what it returns and the peak memory in MiB."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", function, *arguments], check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def peak_mib() -> float:
    """Peak resident memory of this process; getrusage would count what its parent had when it started us."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 2**10


def processor_seconds() -> tuple[float, float]:
    """Of the whole machine and of this benchmark (its finished children included) since they began."""
    ticks = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK"), sum(u.ru_utime + u.ru_stime for u in used)


def big(work: Path) -> dict[str, object]:
    model, count = tiny_cnn(work / "tiny.onnx"), 64
    found: dict[str, object] = {}
    for suffix in ("jpg", "png"):
        folder = draw(work / suffix, count, 2000, suffix)
        pairs = []
        for pair in range(PAIRS):
            order = ("straightforward", "ours") if pair % 2 == 0 else ("ours", "straightforward")
            seconds = {
                name: child(name, str(model), str(folder), str(work / f"{name}.csv"))["result"] for name in order
            }
            pairs.append((count / seconds["straightforward"], count / seconds["ours"]))
        found[suffix] = {
            "images": count,
            "script_images_per_second": float(np.median([a for a, _ in pairs])),
            "medsynth_images_per_second": float(np.median([b for _, b in pairs])),
            "ratio": float(np.median([b / a for a, b in pairs])),
            "pairs": pairs,
        }
    return found


def with_and_without_files(model: str, folder: str, out: str, batch_size: str) -> list[tuple[float, float]]:
    """Images/s of the model on prepared pixels, and from folder to table, in turns of a few seconds."""
    loaded, size, count = load_classifier(model, device="cpu"), int(batch_size), len(list(Path(folder).iterdir()))
    images = np.random.default_rng(0).integers(0, 256, (size, *loaded.image.shape), np.uint8)

    def alone() -> None:
        for _ in range(count // size):
            loaded.run(images, batch_size=size)

    def end_to_end() -> None:
        predict_folder(loaded, folder, out, batch_size=size)

    def speed(work: Callable[[], None]) -> float:
        began = time.perf_counter()
        work()
        return count / (time.perf_counter() - began)

    alone()  # Warm-up
    pairs = []
    for pair in range(2 * PAIRS):
        order = (alone, end_to_end) if pair % 2 == 0 else (end_to_end, alone)
        speeds = {work: speed(work) for work in order}
        pairs.append((speeds[alone], speeds[end_to_end]))
    return pairs


def vgg(work: Path) -> dict[str, object]:
    model, count, size = vgg16(work / "vgg16.onnx"), 32, 8
    folder = draw(work / "scans", count, 512, "jpg")
    pairs = child("with_and_without_files", str(model), str(folder), str(work / "vgg.csv"), str(size))["result"]
    return {
        "images": count,
        "batch_size": size,
        "model_only_images_per_second": float(np.median([a for a, _ in pairs])),
        "folder_images_per_second": float(np.median([b for _, b in pairs])),
        "ratio": float(np.median([b / a for a, b in pairs])),
        "pairs": pairs,
    }


def memory(work: Path) -> dict[str, object]:
    model, found = tiny_cnn(work / "small.onnx"), {}
    for count in (1_000, 20_000):
        folder = draw(work / f"n{count}", count, 256, "png")
        found[str(count)] = child("ours", str(model), str(folder), str(work / "memory.csv"))["peak_mib"]
    return {"peak_mib": found, "growth_mib": round(found["20000"] - found["1000"], 1)}


def logged(model: str, folder: str, out: str, log: str) -> float:
    """A resumable run that notes how many images went through the model."""
    from medsynth.infer.classifier import Classifier

    real = Classifier.batches

    def batches(self, *args, **options):
        for rows in real(self, *args, **options):
            with open(log, "a") as file:  # noqa: PTH123
                file.write(f"{rows.stop - rows.start}\n")
            yield rows

    Classifier.batches = batches
    predict_folder(load_classifier(model, device="cpu"), folder, out, batch_size=32, resume=True)
    return 0.0


def kills(work: Path) -> dict[str, object]:
    model, count, wanted = tiny_cnn(work / "killed.onnx"), 5_000, 10
    folder = draw(work / "many", count, 256, "png")
    whole, out, log = work / "whole.csv", work / "killed.csv", work / "killed.log"
    ours(str(model), str(folder), str(whole))
    choose, done = random.Random(0), 0
    moments = sorted(choose.sample(range(count * 9 // 10), wanted))

    def images_run() -> int:
        return sum(map(int, log.read_text().split())) if log.exists() else 0

    command = [sys.executable, __file__, "--child", "logged", str(model), str(folder), str(out), str(log)]
    while True:
        before = images_run()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        if done < wanted:
            # Some work is done by each run: starting Python is none that could be lost.
            while process.poll() is None and images_run() <= max(before, moments[done]):
                time.sleep(0.001)
            time.sleep(choose.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
        code = process.wait()
        done += code == -signal.SIGKILL
        if code != -signal.SIGKILL:
            break
    return {
        "images": count,
        "kills": done,
        "identical": out.read_bytes() == whole.read_bytes(),
        "images_run": images_run(),
        "allowed": count + 32 * done,
    }


PARTS = {"big": big, "vgg16": vgg, "memory": memory, "kills": kills}
CHILDREN = {
    "straightforward": straightforward,
    "ours": ours,
    "with_and_without_files": with_and_without_files,
    "logged": logged,
}


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        result = CHILDREN[sys.argv[2]](*sys.argv[3:])
        print(json.dumps({"result": result, "peak_mib": round(peak_mib(), 1)}))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--out", type=Path, required=True, help="JSON; parts that it holds already are kept")
    options = parser.parse_args()
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    for part in options.parts:
        before, (machine, own), began = load_average(), processor_seconds(), time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            result = PARTS[part](Path(folder))
        others = (processor_seconds()[0] - machine) - (processor_seconds()[1] - own)
        found[part] = {
            **result,
            "date": time.strftime("%Y-%m-%d"),
            "load_average": [before, load_average()],
            "processor_share_of_others": round(others / (time.monotonic() - began) / (os.cpu_count() or 1), 3),
            "machine": machine_facts(),
            "versions": runtime_versions(),
        }
        options.out.write_text(json.dumps(found, indent=1) + "\n")
        print(part, json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
