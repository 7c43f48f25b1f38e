"""What an ONNX model reaches on a CUDA GPU: stands alone with onnxruntime-gpu, numpy and Pillow.

    python gpu.py vgg16 --precision fp16 --batch-sizes 1,8,64 --out gpu-vgg16.json
    python gpu.py classifier.onnx --batch-sizes 1,8,64 --images scans/ --out gpu.json
    python gpu.py generator.onnx --batch-sizes 64 --out gpu-generator.json

The word vgg16 is VGG16 at 224x224 with random weights, made here, with images that are drawn here.
For each batch size the options of the CUDA provider that matter are tried (convolution search, NHWC, TF32, CUDA graph);
outputs of each must agree with the CPU's. The best is timed model-only (buffers stay on the GPU) and with the copies of
inputs and outputs; with --images also from files to results, decoding in threads beside the GPU. The peak is the best
of a large matrix product and a large 3x3 convolution in the model's precision, in the same run. A figure above 120 %
of it, outputs that differ or a drift make a row invalid. Where CUDA does not work nothing is measured; --dry-run then
goes the whole way on the CPU with small models, to try the script, and calls every row invalid.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # Before the import, or it reports usage over the network.

import numpy as np
import onnxruntime as ort
from PIL import Image

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
}
TOLERANCE = {"fp32": 2e-3, "tf32": 2e-2, "fp16": 2e-2}
"""Largest difference from the CPU, of the largest value of an output; uint8 images: 255 times that in grey levels."""
MIN_SECONDS, MIN_RUNS, MOST_WARMUP = 3.0, 20, 50
KINDS = {"fp32": 1, "fp16": 10}
"""ONNX's numbers of the dtypes."""
DEVICE = "cuda"
"""Where buffers are; --dry-run says cpu."""


def open_session(model: Any, options: dict[str, str] | None, device: str | None = None) -> Any:
    """A session that runs on the device or not at all."""
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if (device or DEVICE) == "cpu":
        return ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    session = ort.InferenceSession(
        model, settings, providers=[("CUDAExecutionProvider", options or {})], enable_fallback=0
    )
    if session.get_providers()[0] != "CUDAExecutionProvider":
        sys.exit("CUDA does not work here: onnxruntime took the CPU. Look at `medsynth doctor`.")
    return session


def nodes(session: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] = counts.get(part.ep_name, 0) + len(part.get_nodes())
    return counts


def draw(session: Any, batch: int, seed: int) -> dict[str, Any]:
    """Random inputs, never zeros: processors draw less power and run faster on zeros."""
    random, feeds = np.random.default_rng(seed), {}
    for info in session.get_inputs():
        shape = [batch if index == 0 else axis for index, axis in enumerate(info.shape)]
        if not all(isinstance(axis, int) for axis in shape):
            sys.exit(f"{info.name} has free axes besides the batch: {info.shape}")
        dtype = DTYPES[info.type]
        if dtype == np.uint8:
            feeds[info.name] = random.integers(0, 256, shape, np.uint8)
        elif dtype == np.int64:
            feeds[info.name] = random.integers(0, 2, shape)
        else:
            feeds[info.name] = random.standard_normal(shape).astype(dtype)
    return feeds


class Bound:
    """A session with its buffers on the GPU, of which there is one set for each seed."""

    def __init__(self, session: Any, batch: int, seeds: int = 3) -> None:
        self.session = session
        self.host = [draw(session, batch, seed) for seed in range(seeds)]
        self.bindings = []
        for feeds in self.host:
            binding = session.io_binding()
            for name, values in feeds.items():
                binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(values, DEVICE, 0))
            for info in session.get_outputs():
                binding.bind_output(info.name, DEVICE, 0)
            self.bindings.append(binding)
        self.turn = 0

    def run(self) -> None:
        """One run; ends when the GPU is done (onnxruntime synchronises)."""
        self.turn = (self.turn + 1) % len(self.bindings)
        self.session.run_with_iobinding(self.bindings[self.turn])

    def run_with_copies(self) -> None:
        self.turn = (self.turn + 1) % len(self.host)
        self.session.run(None, self.host[self.turn])

    def outputs(self, index: int) -> list[Any]:
        self.session.run_with_iobinding(self.bindings[index])
        return self.bindings[index].copy_outputs_to_cpu()


class Graph(Bound):
    """The same as one CUDA graph: one set of buffers at fixed addresses, new inputs copied into them."""

    def __init__(self, session: Any, batch: int) -> None:
        super().__init__(session, batch, seeds=1)
        (binding,) = self.bindings
        self.fixed = {name: ort.OrtValue.ortvalue_from_numpy(v, DEVICE, 0) for name, v in self.host[0].items()}
        binding.clear_binding_inputs()
        for name, value in self.fixed.items():
            binding.bind_ortvalue_input(name, value)
        binding.clear_binding_outputs()
        for info in session.get_outputs():
            shape = [batch if index == 0 else axis for index, axis in enumerate(info.shape)]
            value = ort.OrtValue.ortvalue_from_shape_and_type(shape, DTYPES[info.type], DEVICE, 0)
            binding.bind_ortvalue_output(info.name, value)

    def run_with_copies(self) -> None:
        for name, value in self.fixed.items():
            value.update_inplace(self.host[0][name])
        self.session.run_with_iobinding(self.bindings[0])
        self.bindings[0].copy_outputs_to_cpu()


def timed(run: Any, images: int) -> dict[str, Any]:
    """Images/s: warm up until three windows agree within 10 %, least time and least count, drift judged."""
    warmup: list[float] = []
    while len(warmup) < MOST_WARMUP and not (len(warmup) >= 6 and _stable(warmup[-6:])):
        warmup.append(_seconds(run))
    latencies: list[float] = []
    while len(latencies) < MIN_RUNS or sum(latencies) < MIN_SECONDS:
        latencies.append(_seconds(run))
    return {
        "images_per_second": images * len(latencies) / sum(latencies),
        "median_ms": 1000 * statistics.median(latencies),
        "runs": len(latencies),
        "warmup_runs": len(warmup),
        "stable": _stable(latencies),
    }


def _seconds(run: Any) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _stable(values: list[float]) -> bool:
    third = len(values) // 3
    medians = [statistics.median(values[k * third : (k + 1) * third]) for k in range(3)]
    return max(medians) <= 1.1 * min(medians)


def difference(got: list[Any], wanted: list[Any]) -> float:
    """Largest difference of any output as a fraction of its largest value; of images, of 255."""
    worst = 0.0
    for a, b in zip(got, wanted, strict=True):
        scale = 255.0 if b.dtype == np.uint8 else max(float(np.abs(b).max()), 1e-12)
        gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
        worst = max(worst, float("inf") if np.isnan(gap).any() else float(gap.max()) / scale)
    return worst


def candidates(precision: str) -> list[dict[str, str]]:
    searches = ("HEURISTIC", "EXHAUSTIVE")
    tf32 = ("0", "1") if precision == "fp32" else ("1",)
    found = []
    for search, nhwc, tf, graph in itertools.product(searches, "01", tf32, "01"):
        found.append(
            {
                "cudnn_conv_algo_search": search,
                "cudnn_conv_use_max_workspace": "1",
                "prefer_nhwc": nhwc,
                "use_tf32": tf,
                "enable_cuda_graph": graph,
            }
        )
    return found


def sweep(model: str | bytes, batch: int, precision: str) -> dict[str, Any]:
    """Try all options; the fastest whose outputs agree with the CPU's wins."""
    reference = open_session(model, None, "cpu")
    wanted = reference.run(None, draw(reference, batch, 0))
    del reference
    tried = []
    for options in candidates(precision)[: 2 if DEVICE == "cpu" else None]:
        kind = "tf32" if precision == "fp32" and options["use_tf32"] == "1" else precision
        entry: dict[str, Any] = {"options": options}
        try:
            began = time.perf_counter()
            session = open_session(model, options)
            entry["load_seconds"] = time.perf_counter() - began
            began = time.perf_counter()
            bound = (Graph if options["enable_cuda_graph"] == "1" else Bound)(session, batch)
            bound.run()
            entry["first_run_seconds"] = time.perf_counter() - began
            entry["nodes"] = nodes(session)
            entry["difference"], entry["tolerance"] = difference(bound.outputs(0), wanted), TOLERANCE[kind]
            entry["agrees"] = entry["difference"] <= entry["tolerance"]
            entry["model_only"] = timed(bound.run, batch)
            entry["with_copies"] = timed(bound.run_with_copies, batch)
            entry["still_agrees"] = difference(bound.outputs(0), wanted) <= entry["tolerance"]
        except Exception as error:  # An option that this GPU or model does not take is a result.
            entry["failed"] = " ".join(str(error).split())[:300]
        tried.append(entry)
        print(
            json.dumps({key: entry.get(key) for key in ("options", "model_only", "difference", "failed")}), flush=True
        )
    valid = [entry for entry in tried if entry.get("agrees") and entry.get("still_agrees") and "failed" not in entry]
    best = max(valid, key=lambda entry: entry["model_only"]["images_per_second"], default=None)
    strict = [entry for entry in valid if entry["options"]["use_tf32"] == "0"]
    return {
        "batch": batch,
        "best": best,
        "best_without_tf32": max(strict, key=lambda e: e["model_only"]["images_per_second"], default=None),
        "tried": tried,
    }


def end_to_end(model: str | bytes, options: dict[str, str], batch: int, folder: str, size: int) -> dict[str, Any]:
    """From files to outputs on the host; threads decode two batches ahead."""
    session = open_session(model, {**options, "enable_cuda_graph": "0"})
    (info,) = session.get_inputs()
    _, height, width, channels = info.shape
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in {".png", ".jpg", ".jpeg"})
    paths = list(itertools.islice(itertools.cycle(paths), size // batch * batch))

    def decode(path: Path) -> Any:
        with Image.open(path) as image:
            image.draft(None, (3 * width, 3 * height))
            small = image.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(small).reshape(height, width, channels)

    session.run(None, draw(session, batch, 0))
    began = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = deque(pool.submit(decode, path) for path in paths[: 3 * batch])
        following = iter(paths[3 * batch :])
        for _ in range(len(paths) // batch):
            images = np.stack([waiting.popleft().result() for _ in range(batch)])
            waiting.extend(pool.submit(decode, path) for path in itertools.islice(following, batch))
            session.run(None, {info.name: images})
    return {"images": len(paths), "images_per_second": len(paths) / (time.perf_counter() - began)}


def draw_files(folder: str, count: int = 64) -> str:
    """JPEG files of 512x512 pixels: smooth, with sensor noise."""
    random = np.random.default_rng(0)
    for index in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (12, 12, 3), np.uint8)).resize(
            (512, 512), Image.Resampling.BICUBIC
        )
        pixels = np.asarray(coarse, np.float32) + random.normal(0, 4, (512, 512, 1)).astype(np.float32)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(Path(folder) / f"{index:03d}.jpg", quality=90)
    return folder


def peak(precision: str) -> dict[str, float]:
    """TFLOP/s of a large matrix product and of a large 3x3 convolution."""
    found = {}
    small = DEVICE == "cpu"
    models = {
        "matmul": _matmul(precision, 128 if small else 8192),
        "convolution": _convolution(precision, *((8, 6) if small else (256, 56))),
    }
    for name, (model, flops) in models.items():
        options = {"cudnn_conv_use_max_workspace": "1", "prefer_nhwc": "1"}
        bound = Bound(open_session(model, options), 64)
        best = min(_seconds(bound.run) for _ in range(60))
        found[name] = flops / best / 1e12
    return found


def _matmul(precision: str, n: int) -> tuple[bytes, float]:
    shape = [64, n // 64, n]
    model = Model(precision, {"a": (KINDS[precision], shape)}, shape)
    model.add("MatMul", "a", model.weight("b", n, n), to="y")
    return model.serialise(), 2.0 * n**3


def _convolution(precision: str, channels: int, side: int) -> tuple[bytes, float]:
    shape = [64, channels, side, side]
    model = Model(precision, {"a": (KINDS[precision], shape)}, shape)
    model.add("Conv", "a", model.weight("b", channels, channels, 3, 3), to="y", pads=[1] * 4)
    return model.serialise(), 2.0 * 64 * side * side * channels * channels * 9


def vgg16(precision: str, side: int = 224, shrink: int = 1) -> tuple[bytes, float]:
    """VGG16 with two classes and random weights, and the operations of one image; widths divided by ``shrink``."""
    model = Model(precision, {"images": (2, ["batch", side, side, 3])}, ["batch", 2])
    last = model.add("Cast", "images", to="float", integers={"to": KINDS[precision]})
    last = model.add("Mul", last, model.weight("scale", 1), to="scaled")
    last = model.add("Transpose", last, to="x0", perm=[0, 3, 1, 2])
    channels, flops = 3, 0.0
    for block, (filters, times) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]):
        for layer in range(times):
            width, name = filters // shrink, f"{block}_{layer}"
            last = model.add("Conv", last, model.weight(f"k{name}", width, channels, 3, 3), to=f"c{name}", pads=[1] * 4)
            last = model.add("Relu", last, to=f"r{name}")
            flops += 2.0 * side * side * width * channels * 9
            channels = width
        last = model.add("MaxPool", last, to=f"p{block}", kernel_shape=[2, 2], strides=[2, 2])
        side //= 2
    last = model.add("Flatten", last, to="flat")
    size = channels * side * side
    for layer, width in enumerate((4096 // shrink, 4096 // shrink, 2)):
        last = model.add(
            "MatMul", last, model.weight(f"d{layer}", size, width), to="logits" if layer == 2 else f"m{layer}"
        )
        last = last if layer == 2 else model.add("Relu", last, to=f"h{layer}")
        flops += 2.0 * size * width
        size = width
    last = model.add("Softmax", last, to="rows")
    model.add("Cast", last, to="y", integers={"to": KINDS["fp32"]})
    return model.serialise(output_kind=KINDS["fp32"]), flops


class Model:
    """An ONNX file: protobuf by hand, because the onnx package need not be installed."""

    def __init__(self, precision: str, inputs: dict[str, tuple[int, list[Any]]], output: list[Any]) -> None:
        self.kind, self.inputs, self.output = KINDS[precision], inputs, output
        self.nodes, self.tensors = b"", b""
        self.random = np.random.default_rng(0)

    def weight(self, name: str, *shape: int) -> str:
        """Random ones that keep the variance of what goes through them."""
        fan_in = shape[0] if len(shape) == 2 else int(np.prod(shape[1:]))
        values = self.random.standard_normal(shape, np.float32) * np.sqrt(2 / fan_in) if len(shape) > 1 else [1 / 255]
        raw = np.asarray(values, np.float16 if self.kind == KINDS["fp16"] else np.float32).tobytes()
        fields = b"".join(_number(1, axis) for axis in shape) + _number(2, self.kind)
        self.tensors += _field(5, fields + _field(8, name.encode()) + _field(9, raw))
        return name

    def add(self, kind: str, *inputs: str, to: str, integers: dict[str, int] | None = None, **lists: list[int]) -> str:
        node = b"".join(_field(1, name.encode()) for name in inputs) + _field(2, to.encode()) + _field(4, kind.encode())
        for name, value in (integers or {}).items():
            node += _field(5, _field(1, name.encode()) + _number(3, value) + _number(20, 2))
        for name, values in lists.items():
            node += _field(5, _field(1, name.encode()) + b"".join(_number(8, v) for v in values) + _number(20, 7))
        self.nodes += _field(1, node)
        return to

    def serialise(self, output_kind: int | None = None) -> bytes:
        inputs = b"".join(_field(11, _value(name, kind, shape)) for name, (kind, shape) in self.inputs.items())
        output = _field(12, _value("y", output_kind or self.kind, self.output))
        graph = self.nodes + _field(2, b"graph") + self.tensors + inputs + output
        return _number(1, 8) + _field(7, graph) + _field(8, _field(1, b"") + _number(2, 17))


def _value(name: str, kind: int, shape: list[Any]) -> bytes:
    axes = b"".join(
        _field(1, _field(2, axis.encode()) if isinstance(axis, str) else _number(1, axis)) for axis in shape
    )
    return _field(1, name.encode()) + _field(2, _field(1, _number(1, kind) + _field(2, axes)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def gpu_state() -> dict[str, str]:
    """Clocks, temperature, power, why it throttles, and who else is on it."""
    asked = (
        "name,driver_version,clocks.sm,clocks.mem,temperature.gpu,power.draw,clocks_throttle_reasons.active,memory.used"
    )
    state = {}
    for key, query in (("gpu", f"--query-gpu={asked}"), ("processes", "--query-compute-apps=pid,used_memory")):
        try:
            done = subprocess.run(["nvidia-smi", query, "--format=csv,noheader"], capture_output=True, text=True)
            state[key] = done.stdout.strip()
        except OSError:
            state[key] = "nvidia-smi is not here"
    return state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="an ONNX file, or the word vgg16")
    parser.add_argument("--batch-sizes", default="1,8,64")
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp32", help="of the weights in the file")
    parser.add_argument(
        "--gflop", type=float, help="of one image, to give the fraction of the peak (VGG16 at 224: 30.9)"
    )
    parser.add_argument("--images", help="a folder, for the end-to-end figure of a classifier")
    parser.add_argument("--count", type=int, default=4096, help="images of the end-to-end figure (files are repeated)")
    parser.add_argument("--out", required=True)
    parser.add_argument("--dry-run", action="store_true", help="try the script on the CPU, with small models")
    options = parser.parse_args()
    if options.dry_run:
        global DEVICE, MIN_SECONDS
        DEVICE, MIN_SECONDS = "cpu", 0.1
    ort.set_default_logger_severity(4)
    if not options.dry_run:
        ort.preload_dlls()
    before = gpu_state()
    peaks = peak(options.precision)
    model, images, scratch = options.model, options.images, None
    if model == "vgg16":
        model, flops = vgg16(options.precision, *((32, 16) if options.dry_run else ()))
        options.gflop = options.gflop or flops / 1e9
        scratch = tempfile.TemporaryDirectory()
        images = images or draw_files(scratch.name)
    rows = [sweep(model, int(size), options.precision) for size in options.batch_sizes.split(",")]
    for row in rows:
        best, row["reasons"] = row["best"], ["a dry run, on the CPU"] if options.dry_run else []
        if best is None:
            row["reasons"].append("no options gave outputs that agree with the CPU's")
            continue
        if not best["model_only"]["stable"]:
            row["reasons"].append("the first, middle and last third of the runs differ by more than 10 %")
        if options.gflop:
            speed = best["model_only"]["images_per_second"]
            row["fraction_of_peak"] = speed * options.gflop / 1e3 / max(peaks.values())
            if row["fraction_of_peak"] > 1.2:
                row["reasons"].append(f"{row['fraction_of_peak']:.0%} of the measured peak cannot be")
        if images:
            row["end_to_end"] = end_to_end(model, best["options"], row["batch"], images, options.count)
        row["valid"] = not row["reasons"]
    if scratch is not None:
        scratch.cleanup()
    result = {
        "model": Path(options.model).name,
        "precision": options.precision,
        "peak_tflops": peaks,
        "rows": rows,
        "before": before,
        "after": gpu_state(),
        "machine": {"cpu": platform.processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)},
        "versions": {"python": platform.python_version(), "onnxruntime": ort.__version__, "numpy": np.__version__},
    }
    Path(options.out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
