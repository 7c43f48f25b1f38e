"""From turns to medians, ratios within a round, and the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.inference.engines import ENGINES, REFERENCE
from benchmarks.inference.worker import PEAK

from medsynth.benchmark.statistics import median, median_interval

PAIRS = (("medsynth int8", REFERENCE), ("medsynth int8", "OpenVINO on medsynth's int8"),
         ("medsynth int8", "OpenVINO int8 by NNCF"))  # fmt: skip

Figure = dict[str, float]


def summarise(result: Mapping[str, Any], flop: float) -> dict[str, Any]:
    """Images in a second, ratios and shares of the peak.

    Args:
        result: Of :func:`benchmarks.inference.race.race`.
        flop: Floating-point operations for one image.
    """
    batch = result["batch"]
    speed: dict[str, dict[int, float]] = {}
    best: dict[str, dict[int, float]] = {}
    peak: dict[str, dict[int, float]] = {}
    for turn in result["turns"]:
        name, index = turn["engine"], turn["round"]
        if name == PEAK:
            for precision, operations in turn["peak"].items():
                peak.setdefault(precision, {})[index] = operations
        elif "seconds" in turn:
            speed.setdefault(name, {})[index] = batch * len(turn["seconds"]) / sum(turn["seconds"])
            best.setdefault(name, {})[index] = batch / min(turn["seconds"])
    others = [name for name in speed if name != REFERENCE and ENGINES[name].precision == "fp32"]
    pairs = [*PAIRS, *((REFERENCE, name) for name in others)]
    return {
        "images_per_second": {name: _figure(list(values.values())) for name, values in speed.items()},
        "times_the_reference": {name: _ratio(values, speed[REFERENCE]) for name, values in speed.items()},
        "share_of_peak": {
            name: _ratio({turn: value * flop for turn, value in values.items()}, peak[ENGINES[name].precision])
            for name, values in best.items()
            if ENGINES[name].precision in peak
        },
        "peak_gflops": {name: _figure([value / 1e9 for value in values.values()]) for name, values in peak.items()},
        "pairs": {f"{a} / {b}": _ratio(speed[a], speed[b]) for a, b in pairs if a in speed and b in speed},
    }


def _figure(values: Sequence[float]) -> Figure:
    low, high = median_interval(values)
    return {"median": median(values), "low": low, "high": high, "slowest": min(values), "fastest": max(values)}


def _ratio(values: Mapping[int, float], reference: Mapping[int, float]) -> Figure:
    return _figure([value / reference[index] for index, value in values.items() if index in reference])


def markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """Tables over the batch sizes, with what was skipped and the machine."""
    batches = [result["batch"] for result in results]
    head = ["engine", "precision", *(f"batch {batch}" for batch in batches)]
    lines = ["Images in a second (median of the rounds):", ""]
    lines += _table(head, results, "images_per_second", lambda cell: f"{cell['median']:.1f}")
    lines += ["", f"Times {REFERENCE}, within a round (95 % interval of the median):", ""]
    lines += _table(head, results, "times_the_reference", _with_interval)
    lines += ["", "Share of the machine's peak in the same precision:", ""]
    lines += _table(head, results, "share_of_peak", lambda cell: f"{cell['median']:.0%}")
    lines += ["", "Pairs:", "", f"| pair | {' | '.join(head[2:])} |", f"|{' --- |' * (len(batches) + 1)}"]
    for pair in dict.fromkeys(pair for result in results for pair in result["summary"]["pairs"]):
        cells = [result["summary"]["pairs"].get(pair) for result in results]
        lines.append(f"| {pair} | {' | '.join(_with_interval(cell) if cell else '-' for cell in cells)} |")
    lines += ["", "The machine's peak, 10^9 operations in a second:", ""]
    lines += [f"| precision | {' | '.join(head[2:])} |", f"|{' --- |' * (len(batches) + 1)}"]
    for precision in results[0]["summary"]["peak_gflops"]:
        cells = [f"{result['summary']['peak_gflops'][precision]['median']:.0f}" for result in results]
        lines.append(f"| {precision} | {' | '.join(cells)} |")
    machine = results[0]["machine"]
    rounds = ", ".join(str(result["rounds"]) for result in results)
    lines += ["", f"{machine['cpu']}, {machine['cores_allowed']} cores, {machine['system']}; {rounds} rounds."]
    lines += [f"Versions: {_versions(results)}."]
    skipped = {name: reason for result in results for name, reason in result["skipped"].items()}
    lines += [f"\nSkipped: {name} ({reason})." for name, reason in skipped.items()]
    return "\n".join(lines) + "\n"


def _table(
    head: Sequence[str], results: Sequence[Mapping[str, Any]], what: str, show: Callable[[Figure], str]
) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name, engine in ENGINES.items():
        cells = [result["summary"][what].get(name) for result in results]
        if any(cells):
            shown = " | ".join(show(cell) if cell else "-" for cell in cells)
            lines.append(f"| {name} | {engine.precision} | {shown} |")
    return lines


def _with_interval(cell: Figure) -> str:
    return f"{cell['median']:.2f} ({cell['low']:.2f} to {cell['high']:.2f})"


def _versions(results: Sequence[Mapping[str, Any]]) -> str:
    facts = {name: told for result in results for name, told in result["engines"].items() if name != PEAK}
    return ", ".join(dict.fromkeys(f"{name.split()[0].strip(',')} {told['version']}" for name, told in facts.items()))
