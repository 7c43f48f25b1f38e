"""VGG16 in fp32 and int8: onnxruntime with medsynth's files against OpenVINO, Keras and PyTorch on the same weights.

    python benchmarks/precision.py prepare --data ct/ --weights vgg16_notop.weights.h5 --work WORK
    python benchmarks/precision.py run --work WORK --out benchmarks/results/precision.json \\
        --python keras=venv/bin/python --python openvino=bench/bin/python --python torch=bench/bin/python

Every engine lives in a process of its own and waits while another is timed; the engines take turns, round after round,
so that whatever else the machine does meets all of them. Medians over the rounds are told, ratios are medians of the
ratios within a round. Engines whose package is absent are skipped by name. Nothing is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve()
ENGINES = {
    "onnxruntime fp32": "base",
    "onnxruntime int8": "base",
    "openvino fp32": "openvino",
    "openvino bf16": "openvino",
    "openvino int8": "openvino",
    "keras predict": "keras",
    "torch eager": "torch",
    "torch channels-last": "torch",
    "torch bf16": "torch",
    "peak numpy matmul": "base",
    "peak onnxruntime convolution": "base",
    "peak torch matmul": "torch",
    "peak torch matmul bf16": "torch",
}
"""Engine and the environment that its process runs in."""

REFERENCE = "onnxruntime fp32"


def prepare(options: argparse.Namespace) -> None:
    """Write fp32.onnx, int8.onnx, weights.npz and images.npz; needs TensorFlow."""
    import keras

    import medsynth
    from medsynth import artifact
    from medsynth.artifact import Metadata
    from medsynth.default_plugins.vgg16 import VGG16
    from medsynth.export import Budget
    from medsynth.export.keras_onnx import classifier_to_onnx

    work = Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    data = medsynth.load_dataset(options.data)
    spec = data.image_spec(options.image_size, 1)
    keras.utils.set_random_seed(0)
    settings = {"weights": options.weights, "head": options.head, "width": options.width}
    network = VGG16(**settings).build(spec, len(data.classes))
    if options.run:
        from medsynth.train import open_run
        from medsynth.train.checkpoint import load_variables, model_variables

        load_variables(open_run(options.run).weights, {"model": model_variables(network)})
    model = classifier_to_onnx(network)
    metadata = Metadata(
        task="classifier",
        classes=data.classes,
        positive=data.positive,
        image=spec,
        plugin={"name": "vgg16", "distribution": "medsynth-core", "version": medsynth.__version__, "options": {}},
        data={"source": data.source, "fingerprint": data.fingerprint, "counts": {}},
        training={},
        validation={},
        intended_use="Measuring speed.",
        versions={"medsynth-core": medsynth.__version__},
        threshold=0.5,
    )
    artifact.write(model, metadata, work / "fp32.onnx")
    # Speed alone is asked here: the dense layers are random, so their decisions are no one's.
    wide = Budget(flips=1.0, auc=1.0)
    medsynth.export(
        work / "fp32.onnx", work / "int8.onnx", precision="int8", calibration=data, budget=wide, fallback=False
    )
    images = data.part("test").take(range(options.images)).decode(spec).images
    np.savez(work / "images.npz", images=images)
    np.savez(work / "weights.npz", *network.get_weights())
    facts = {"image": spec.to_dict(), "settings": {**settings, "weights": Path(options.weights).name}}
    facts["classes"] = len(data.classes)
    (work / "facts.json").write_text(json.dumps(facts))


def worker(options: argparse.Namespace) -> None:
    """Load one engine, then answer a line of JSON with a line of JSON until the input ends."""
    work = Path(options.work)
    with np.load(work / "images.npz") as saved:
        images = saved["images"]
    try:
        step, facts = _engine(options.engine, work)
    except ImportError as error:
        print(json.dumps({"absent": str(error)}), flush=True)
        return
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        batch, seconds = asked["batch"], asked["seconds"]
        batches = [np.ascontiguousarray(images[np.arange(i * batch, (i + 1) * batch) % len(images)]) for i in range(8)]
        output = step(batches[0])
        done, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < seconds or done == 0:
            output = step(batches[done % len(batches)])
            done += 1
        spent = time.perf_counter() - began
        first = None if output is None else np.asarray(step(batches[0])).ravel()[:4].astype(float).tolist()
        print(json.dumps({"runs": done, "seconds": spent, "output": first}), flush=True)


def _engine(name: str, work: Path):
    """A function of a batch, and facts; for a peak probe a function that ignores its batch, and its operations."""
    if name.startswith("peak"):
        return _peak(name)
    if name.startswith("onnxruntime"):
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime

        session = onnxruntime.InferenceSession(work / f"{name.split()[1]}.onnx", providers=["CPUExecutionProvider"])
        return lambda x: session.run(["probabilities"], {"images": x})[0], {"version": onnxruntime.__version__}
    if name.startswith("openvino"):
        import openvino

        kind = name.split()[1]
        model = openvino.Core().compile_model(
            str(work / ("int8.onnx" if kind == "int8" else "fp32.onnx")),
            "CPU",
            {"INFERENCE_PRECISION_HINT": "bf16" if kind == "bf16" else "f32", "PERFORMANCE_HINT": "LATENCY"},
        )
        return lambda x: model([x])["probabilities"], {"version": openvino.__version__}
    if name.startswith("keras"):
        return _keras(work)
    return _torch(name, work)


def _keras(work: Path):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    from medsynth.default_plugins.vgg16 import VGG16
    from medsynth.images import ImageSpec

    facts = json.loads((work / "facts.json").read_text())
    network = VGG16(**{**facts["settings"], "weights": "none"}).build(
        ImageSpec.from_dict(facts["image"]), facts["classes"]
    )
    with np.load(work / "weights.npz") as saved:
        network.set_weights([saved[f"arr_{index}"] for index in range(len(saved.files))])
    only = keras.Model(network.inputs, network.output["probabilities"])
    return lambda x: only.predict(x, batch_size=len(x), verbose=0), {"version": keras.__version__}


def _torch(name: str, work: Path):
    import torch
    from torch import nn

    facts = json.loads((work / "facts.json").read_text())
    with np.load(work / "weights.npz") as saved:
        arrays = [saved[f"arr_{index}"] for index in range(len(saved.files))]
    layers: list[nn.Module] = []
    pairs = list(zip(arrays[::2], arrays[1::2], strict=True))
    convolutions = [pair for pair in pairs if pair[0].ndim == 4]
    for index, (kernel, bias) in enumerate(convolutions):
        layer = nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
        layer.weight.data, layer.bias.data = (
            torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()),
            torch.from_numpy(bias),
        )
        layers += [layer, nn.ReLU(inplace=True)]
        if index in {1, 3, 6, 9, 12}:
            layers.append(nn.MaxPool2d(2))
    dense = [pair for pair in pairs if pair[0].ndim == 2]
    gap = facts["settings"]["head"] == "gap"
    head: list[nn.Module] = []
    for index, (kernel, bias) in enumerate(dense):
        layer = nn.Linear(*kernel.shape)
        layer.weight.data, layer.bias.data = torch.from_numpy(kernel.T.copy()), torch.from_numpy(bias)
        head += [layer] + ([nn.ReLU(inplace=True)] if index < len(dense) - 1 else [])
    trunk, top = nn.Sequential(*layers).eval(), nn.Sequential(*head).eval()
    mean = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    bf16 = name.endswith("bf16")
    if name != "torch eager":
        trunk = trunk.to(memory_format=torch.channels_last)

    def step(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            pixels = torch.from_numpy(x).permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1) - mean
            if name != "torch eager":
                pixels = pixels.contiguous(memory_format=torch.channels_last)
            maps = trunk(pixels)
            # Flattened as TensorFlow does: channels last.
            rows = maps.mean(dim=(2, 3)) if gap else maps.permute(0, 2, 3, 1).reshape(len(x), -1)
            return torch.softmax(top(rows).float(), dim=1).numpy()

    return step, {"version": torch.__version__}


def _peak(name: str):
    size = 3072
    if "torch" in name:
        import torch

        kind = torch.bfloat16 if name.endswith("bf16") else torch.float32
        left, right = torch.randn(size, size).to(kind), torch.randn(size, size).to(kind)

        def step(_: np.ndarray) -> None:
            torch.mm(left, right)

        return step, {"operations": 2 * size**3, "version": torch.__version__}
    random = np.random.default_rng(0)
    if "numpy" in name:
        left, right = (random.normal(size=(size, size)).astype(np.float32) for _ in range(2))

        def step(_: np.ndarray) -> None:
            left @ right

        return step, {"operations": 2 * size**3, "version": np.__version__}
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    channels, side, count = 512, 28, 8
    kernel = helper.make_tensor(
        "k", TensorProto.FLOAT, [channels, channels, 3, 3],
        random.normal(size=channels * channels * 9).astype(np.float32).tobytes(), raw=True,
    )  # fmt: skip
    shape = [count, channels, side, side]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "k"], ["y"], pads=[1, 1, 1, 1])], "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)], [kernel],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = random.normal(size=shape).astype(np.float32)

    def convolve(_: np.ndarray) -> None:
        session.run(None, {"x": x})

    return convolve, {
        "operations": 2 * count * channels * channels * 9 * side * side,
        "version": onnxruntime.__version__,
    }


def run(options: argparse.Namespace) -> None:
    """Let the engines take turns."""
    pythons = {"base": sys.executable, **dict(pair.split("=", 1) for pair in options.python or [])}
    batches = [int(size) for size in options.batch_sizes.split(",")]
    processes, facts, skipped = {}, {}, {}
    for engine, environment in ENGINES.items():
        if environment not in pythons or (options.engines and not any(each in engine for each in options.engines)):
            skipped[engine] = f"no --python {environment}=..."
            continue
        command = [pythons[environment], str(HERE), "worker", "--work", options.work, "--engine", engine]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = json.loads(process.stdout.readline() or '{"absent": "it ended at once"}')
        if "absent" in told:
            skipped[engine] = told["absent"]
        else:
            processes[engine], facts[engine] = process, told
    before = machine()
    rows = []
    for index in range(options.rounds):
        order = list(processes) if index % 2 == 0 else list(processes)[::-1]
        for batch in batches:
            for engine in order:
                if engine.startswith("peak") and batch != batches[0]:
                    continue
                process = processes[engine]
                process.stdin.write(json.dumps({"batch": batch, "seconds": options.seconds}) + "\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())
                per_second = answer["runs"] / answer["seconds"]
                row = {"round": index, "engine": engine, "batch": batch, **answer}
                if engine.startswith("peak"):
                    row["gflops"] = per_second * facts[engine]["operations"] / 1e9
                else:
                    row["images_per_second"] = per_second * batch
                rows.append(row)
                time.sleep(0.3)  # Threads of the last one may still spin.
    for process in processes.values():
        process.stdin.close()
        process.wait()
    result = {
        "schema": 1,
        "model": json.loads((Path(options.work) / "facts.json").read_text()),
        "engines": facts,
        "skipped": skipped,
        "machine": {"before": before, "after": machine()},
        "rounds": options.rounds,
        "seconds": options.seconds,
        "summary": summarise(rows, batches),
        "rows": rows,
    }
    out = Path(options.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    show(result["summary"], batches, skipped)


def summarise(rows: list[dict], batches: list[int]) -> dict:
    """Medians, and medians of the ratio to onnxruntime fp32 within a round."""
    speeds = {(row["engine"], row["batch"], row["round"]): row.get("images_per_second") for row in rows}
    table: dict = {}
    for engine in dict.fromkeys(row["engine"] for row in rows if "images_per_second" in row):
        table[engine] = {}
        for batch in batches:
            own = {key[2]: value for key, value in speeds.items() if key[:2] == (engine, batch)}
            ratios = [
                value / speeds[REFERENCE, batch, turn]
                for turn, value in own.items()
                if speeds.get((REFERENCE, batch, turn))
            ]
            table[engine][str(batch)] = {
                "images_per_second": statistics.median(own.values()),
                "slowest": min(own.values()),
                "fastest": max(own.values()),
                "ratio_to_onnxruntime_fp32": statistics.median(ratios) if ratios else None,
            }
    peaks: dict = {}
    for row in rows:
        if "gflops" in row:
            peaks.setdefault(row["engine"], []).append(row["gflops"])
    return {"engines": table, "peak_gflops": {name: statistics.median(values) for name, values in peaks.items()}}


def show(summary: dict, batches: list[int], skipped: dict) -> None:
    print(f"{'images/s':<24}" + "".join(f"{f'batch {batch}':>20}" for batch in batches))
    for engine, found in summary["engines"].items():
        cells = ""
        for batch in batches:
            cell = found[str(batch)]
            ratio = cell["ratio_to_onnxruntime_fp32"]
            cells += f"{cell['images_per_second']:>11.1f}" + (f" ({ratio:5.2f}x)" if ratio else " " * 9)
        print(f"{engine:<24}{cells}")
    for name, value in summary["peak_gflops"].items():
        print(f"{name}: {value:.0f} GFLOP/s")
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}")


def machine() -> dict:
    """What the numbers depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8")
    flags = sorted(set(wanted).intersection(facts.get("flags", "").split()))
    return {
        "cpu": facts.get("model name", platform.processor()),
        "family": facts.get("cpu family"),
        "model": facts.get("model"),
        "mhz": facts.get("cpu MHz"),
        "flags": flags,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": os.getloadavg(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    one = verbs.add_parser("prepare")
    one.add_argument("--data", required=True)
    one.add_argument("--weights", default="none")
    one.add_argument("--run", help="trained run whose weights are taken (same head)")
    one.add_argument("--head", default="gap")
    one.add_argument("--width", type=float, default=1.0)
    one.add_argument("--image-size", type=int, default=224)
    one.add_argument("--images", type=int, default=64)
    one.set_defaults(action=prepare)
    two = verbs.add_parser("run")
    two.add_argument("--out", required=True)
    two.add_argument("--python", action="append", metavar="ENVIRONMENT=PYTHON")
    two.add_argument("--engines", action="append", metavar="PART_OF_NAME")
    two.add_argument("--batch-sizes", default="1,8,32")
    two.add_argument("--rounds", type=int, default=5)
    two.add_argument("--seconds", type=float, default=4.0)
    two.set_defaults(action=run)
    three = verbs.add_parser("worker")
    three.add_argument("--engine", required=True)
    three.set_defaults(action=worker)
    for verb in (one, two, three):
        verb.add_argument("--work", required=True)
    options = parser.parse_args()
    options.action(options)


if __name__ == "__main__":
    main()
