"""What an ONNX model reaches on a CUDA GPU: stands alone with onnxruntime-gpu, numpy and Pillow.

    python gpu.py classifier.onnx --batch-sizes 1,8,64 --images scans/ --out gpu.json
    python gpu.py generator.onnx --batch-sizes 64 --out gpu-generator.json

For each batch size the options of the CUDA provider that matter are tried (convolution search, NHWC, TF32, CUDA graph);
outputs of each must agree with the CPU's. The best is timed model-only (buffers stay on the GPU) and with the copies of
inputs and outputs; with --images also from files to results, decoding in threads beside the GPU. The peak is the best
of a large matrix product and a large 3x3 convolution in the model's precision, in the same run. A figure above 120 %
of it, outputs that differ or a drift make a row invalid. Where CUDA does not work nothing is measured.
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


def open_session(model: Any, options: dict[str, str] | None, device: str = "cuda") -> Any:
    """A session that runs on the GPU or not at all."""
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    if device == "cpu":
        return ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
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
                binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(values, "cuda", 0))
            for info in session.get_outputs():
                binding.bind_output(info.name, "cuda", 0)
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
        self.fixed = {name: ort.OrtValue.ortvalue_from_numpy(v, "cuda", 0) for name, v in self.host[0].items()}
        binding.clear_binding_inputs()
        for name, value in self.fixed.items():
            binding.bind_ortvalue_input(name, value)
        binding.clear_binding_outputs()
        for info in session.get_outputs():
            shape = [batch if index == 0 else axis for index, axis in enumerate(info.shape)]
            value = ort.OrtValue.ortvalue_from_shape_and_type(shape, DTYPES[info.type], "cuda", 0)
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


def sweep(model: str, batch: int, precision: str) -> dict[str, Any]:
    """Try all options; the fastest whose outputs agree with the CPU's wins."""
    reference = open_session(model, None, "cpu")
    wanted = reference.run(None, draw(reference, batch, 0))
    del reference
    tried = []
    for options in candidates(precision):
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


def end_to_end(model: str, options: dict[str, str], batch: int, folder: str, size: int) -> dict[str, Any]:
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


def peak(precision: str) -> dict[str, float]:
    """TFLOP/s of a large matrix product and of a large 3x3 convolution."""
    found = {}
    for name, (model, flops) in {"matmul": _matmul(precision), "convolution": _convolution(precision)}.items():
        options = {"cudnn_conv_use_max_workspace": "1", "prefer_nhwc": "1"}
        bound = Bound(open_session(model, options), 64)
        best = min(_seconds(bound.run) for _ in range(60))
        found[name] = flops / best / 1e12
    return found


def _matmul(precision: str, n: int = 8192) -> tuple[bytes, float]:
    kind = 10 if precision == "fp16" else 1
    node = _field(1, b"a") + _field(1, b"b") + _field(2, b"y") + _field(4, b"MatMul")
    return _model(node, {"a": (kind, [64, n // 64, n])}, kind, {"b": [n, n]}, [64, n // 64, n]), 2.0 * n**3


def _convolution(precision: str, channels: int = 256, side: int = 56) -> tuple[bytes, float]:
    kind = 10 if precision == "fp16" else 1
    pads = _field(1, b"pads") + b"".join(_number(8, 1) for _ in range(4)) + _number(20, 7)
    node = _field(1, b"a") + _field(1, b"b") + _field(2, b"y") + _field(4, b"Conv") + _field(5, pads)
    shape = [64, channels, side, side]
    model = _model(node, {"a": (kind, shape)}, kind, {"b": [channels, channels, 3, 3]}, shape)
    return model, 2.0 * 64 * side * side * channels * channels * 9


def _model(node: bytes, inputs: dict[str, Any], kind: int, weights: dict[str, list[int]], output: list[int]) -> bytes:
    """Serialise one node: protobuf by hand, because the onnx package need not be installed."""
    graph = _field(1, node) + _field(2, b"peak")
    random = np.random.default_rng(0)
    for name, shape in weights.items():
        values = random.standard_normal(shape).astype(np.float16 if kind == 10 else np.float32) * np.float16(0.02)
        tensor = b"".join(_number(1, axis) for axis in shape) + _number(2, kind)
        graph += _field(5, tensor + _field(8, name.encode()) + _field(9, values.tobytes()))
    for name, (dtype, shape) in inputs.items():
        graph += _field(11, _value(name, dtype, shape))
    graph += _field(12, _value("y", kind, output))
    return _number(1, 8) + _field(7, graph) + _field(8, _field(1, b"") + _number(2, 17))


def _value(name: str, kind: int, shape: list[int]) -> bytes:
    axes = b"".join(_field(1, _number(1, axis)) for axis in shape)
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
    parser.add_argument("model")
    parser.add_argument("--batch-sizes", default="1,8,64")
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp32", help="of the weights in the file")
    parser.add_argument(
        "--gflop", type=float, help="of one image, to give the fraction of the peak (VGG16 at 224: 30.9)"
    )
    parser.add_argument("--images", help="a folder, for the end-to-end figure of a classifier")
    parser.add_argument("--count", type=int, default=4096, help="images of the end-to-end figure (files are repeated)")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    ort.set_default_logger_severity(4)
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    before = gpu_state()
    peaks = peak(options.precision)
    rows = [sweep(options.model, int(size), options.precision) for size in options.batch_sizes.split(",")]
    for row in rows:
        best, row["reasons"] = row["best"], []
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
        if options.images:
            row["end_to_end"] = end_to_end(options.model, best["options"], row["batch"], options.images, options.count)
        row["valid"] = not row["reasons"]
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
