"""Noise, generators and real test images through the same evaluation: is every number in the order that it should be?

    python benchmarks/evaluation.py ct/ --classifier classifier.onnx --generators classic.onnx best.onnx --out FILE.json

Generators are named from the worst to the best that one expects. Noise is the floor; images of the test part, which
stand where generated ones do, are the ceiling. Training images are the reference, those of the validation part are held
out. All sets have as many images of each class. ``--features FILE.onnx`` takes another network than the classifier.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np

from medsynth.dataset import load_dataset
from medsynth.evaluate import FeatureNetwork, Pixels, load_features
from medsynth.evaluate.assess import Assessment, assess
from medsynth.evaluate.report.model import Provenance
from medsynth.evaluate.sides import Side, read_side
from medsynth.infer import Sampler, load_classifier, load_sampler

FLOOR, CEILING = "noise", "real test images"


def sets_of(samplers: dict[str, Sampler], test: Side, network: FeatureNetwork, seed: int) -> dict[str, Side]:
    """Noise, what each generator makes, and test images: as many of each class, in this order."""
    count = int(np.bincount(test.labels).min())
    classes = len(set(test.labels.tolist()))
    labels = np.arange(count * classes) % classes
    chosen = np.concatenate([np.flatnonzero(test.labels == label)[:count] for label in range(classes)])
    noise = np.random.default_rng(seed).integers(0, 256, (len(labels), *test.images.shape[1:]), dtype=np.uint8)
    sets = {FLOOR: Side(images=noise, labels=labels, features=network(noise))}
    for name, sampler in samplers.items():
        made = sampler.sample(len(labels), seed=seed)
        sets[name] = Side(images=made, labels=sampler.labels_for(len(labels)), features=network(made))
    return sets | {CEILING: test.take(chosen)}


def lines_of(found: dict[str, Assessment]) -> dict[str, dict]:
    """Metric -> whether higher is better, value of each set, and the steps that are out of order."""
    lines: dict[str, dict] = {}
    for name, each in found.items():
        values = {row.name: (row.estimate, row.higher_is_better) for row in each.metrics}
        lead = each.utility.leading
        alone = next(arm for arm in each.utility.arms if arm.name == "generated")
        values |= {"auc of generated alone": (alone.auc, True)}
        values |= {"gain": (lead.gain, True)} if lead is not None else {}
        for metric, (estimate, better) in values.items():
            line = lines.setdefault(metric, {"higher_is_better": better, "sets": {}})
            line["sets"][name] = estimate.to_dict()
    for line in lines.values():
        sign = {True: 1, False: -1, None: 0}[line["higher_is_better"]]
        value = {name: each["value"] for name, each in line["sets"].items()}
        known = [name for name in found if value.get(name) is not None]
        line["no_number"] = [name for name in found if name not in known]
        line["out_of_order"] = [
            [one, other] for one, other in itertools.pairwise(known) if sign * (value[other] - value[one]) <= 0 and sign
        ]
    return lines


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--classifier", type=Path, required=True)
    parser.add_argument("--generators", type=Path, nargs="+", required=True)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--features-scale", type=float)
    parser.add_argument("--features-mean", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    data = load_dataset(given.data)
    samplers = {path.stem: load_sampler(path, device=given.device) for path in given.generators}
    first = next(iter(samplers.values()))
    if len({sampler.image for sampler in samplers.values()}) > 1:
        parser.error("generators must make images of one size")
    if given.features is None:
        network = FeatureNetwork.of(load_classifier(given.classifier, device=given.device))
    else:
        scale = given.features_scale
        pixels = None if scale is None else Pixels(scale=(scale,), mean=(given.features_mean,))
        network = load_features(given.features, pixels=pixels, device=given.device)
    train, held_out, test = (read_side(data, part, first, network) for part in ("train", "validation", "test"))
    found = {
        name: assess(train, held_out, made, space=network.space.name)
        for name, made in sets_of(samplers, test, network, given.seed).items()
    }
    lines = lines_of(found)
    record = {
        "schema": 1,
        "data": {"source": data.source, "fingerprint": data.fingerprint},
        "features": network.space.to_dict(),
        "generators": {name: sampler.metadata.content_hash for name, sampler in samplers.items()},
        "seed": given.seed,
        "answers": {name: [answer.to_dict() for answer in each.answers] for name, each in found.items()},
        "privacy": {name: [row.to_dict() for row in each.privacy.rows] for name, each in found.items()},
        "metrics": lines,
        "hardware": dict(Provenance.here_and_now().hardware),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(record, indent=1) + "\n")
    for metric, line in lines.items():
        values = "  ".join(
            f"{name} {each['value']:.4g}" for name, each in line["sets"].items() if each["value"] is not None
        )
        wrong = "; ".join(f"{other} is not better than {one}" for one, other in line["out_of_order"])
        missing = f"; no number: {', '.join(line['no_number'])}" if line["no_number"] else ""
        print(f"{metric}: {values}: {wrong or 'in order'}{missing}")
    for name, each in found.items():
        print(name, {answer.question: answer.light for answer in each.answers})
    return record


if __name__ == "__main__":
    main()
