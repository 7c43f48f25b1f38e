"""The artefact against its own word: schema, hash, contract and golden outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medsynth.artifact.contract import broken_rules, infos_from_onnx, latent_length
from medsynth.artifact.files import content_hash, metadata_text, parse_metadata, parse_model, read_bytes, require_file
from medsynth.artifact.golden import CpuRunner, golden_values, largest_difference, remake_inputs
from medsynth.errors import ArtifactError, MedsynthError, one_line

if TYPE_CHECKING:
    import onnx

    from medsynth.artifact.metadata import Metadata

__all__ = ["Check", "verify"]

_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})


@dataclass(frozen=True, slots=True)
class Check:
    """One question asked of an artefact: its name, whether it passed, and what was found."""

    name: str
    passed: bool
    detail: str


def verify(path: str | Path) -> tuple[Check, ...]:
    """Check an artefact; needs no TensorFlow and no network.

    The checks, in order: ``file``, ``metadata``, ``content hash``, ``inputs and outputs``, ``opset``,
    ``external data``, ``golden outputs`` (on the CPU). A file that does not parse ends after the first, one without
    readable metadata after the second. One that breaks the contract or reads other files is not run.

    Returns:
        The checks that were made.

    Raises:
        ArtifactError: There is no such file, or it may not be read.
    """
    require_file(path)
    return tuple(_checks(Path(path)))


def _checks(path: Path) -> Iterator[Check]:
    raw = read_bytes(path)
    try:
        model = parse_model(raw)
    except ArtifactError as error:
        yield Check("file", False, str(error))
        return
    yield Check("file", True, f"{len(raw):,} bytes of ONNX")
    try:
        metadata = parse_metadata(metadata_text(model))
    except ArtifactError as error:
        yield Check("metadata", False, str(error))
        return
    classes = ", ".join(metadata.classes)
    yield Check("metadata", True, f"schema {metadata.schema}, {metadata.task} of {len(metadata.classes)}: {classes}")
    yield _ask("content hash", lambda: _check_hash(content_hash(raw, metadata.content_hash), metadata.content_hash))
    contract = _ask("inputs and outputs", lambda: _check_contract(model, metadata))
    yield contract
    yield _ask("opset", lambda: _check_opset(model))
    outside = _ask("external data", lambda: _check_external_data(model))
    yield outside
    # To run it, inputs as large as the metadata say are made, and onnxruntime reads the files that the graph names.
    unsafe = [check.name for check in (contract, outside) if not check.passed]
    if unsafe:
        yield Check("golden outputs", False, f"not run, because of its {' and '.join(unsafe)}")
    else:
        yield _ask("golden outputs", lambda: _check_golden(raw, model, metadata))


def _ask(name: str, question: Callable[[], str]) -> Check:
    try:
        return Check(name, True, question())
    except MedsynthError as error:  # Metadata that was tampered with may ask for what other layers refuse.
        return Check(name, False, str(error))
    except Exception as error:  # Or for what nobody thought of: that is the file's failure, not the checks' end.
        return Check(name, False, f"the check ended with {type(error).__name__}: {one_line(error)}")


def _check_hash(computed: str, recorded: str) -> str:
    if computed != recorded:
        raise ArtifactError(
            f"the file was changed after it was written: its content gives {computed[:16]}…, "
            f"its metadata says {recorded[:16] or 'nothing'}…"
        )
    return computed


def _check_contract(model: onnx.ModelProto, metadata: Metadata) -> str:
    inputs, outputs = infos_from_onnx(model.graph.input), infos_from_onnx(model.graph.output)
    broken = broken_rules(inputs, outputs, metadata)
    if broken:
        raise ArtifactError("; ".join(broken))
    return ", ".join(f"{info.name} {info}" for info in (*inputs, *outputs))


def _check_opset(model: onnx.ModelProto) -> str:
    import onnx

    known = onnx.defs.onnx_opset_version()
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    foreign = sorted(versions.keys() - _DOMAINS)
    if foreign:
        raise ArtifactError(f"operators of {', '.join(foreign)} need a library of their own beside onnxruntime")
    if not 1 <= versions.get("ai.onnx", 0) <= known:
        raise ArtifactError(f"opset must be 1 to {known}, the newest that is known here. Got {versions.get('ai.onnx')}")
    return f"opset {versions['ai.onnx']}, IR {model.ir_version}"


def _check_external_data(model: onnx.ModelProto) -> str:
    from onnx.external_data_helper import uses_external_data

    for tensor in _tensors(model.graph):
        if uses_external_data(tensor):
            place = next((entry.value for entry in tensor.external_data if entry.key == "location"), "?")
            raise ArtifactError(f"tensor {tensor.name!r} lives in another file ({place}); an artefact is one file")
    return "none: one file"


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every constant of a graph: initialisers, attributes, and those of subgraphs."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(inner)


def _check_golden(raw: bytes, model: onnx.ModelProto, metadata: Metadata) -> str:
    golden = metadata.golden
    if golden is None:
        raise ArtifactError("the metadata has none; write the file again with medsynth export")
    latent = latent_length(infos_from_onnx(model.graph.input)) if metadata.task == "generator" else 0
    outputs = CpuRunner(raw).run(remake_inputs(metadata, latent=latent))
    if golden.output not in outputs:
        raise ArtifactError(f"the model has no output {golden.output!r}")
    difference = largest_difference(outputs[golden.output], golden_values(metadata))
    unit = "grey levels" if metadata.task == "generator" else "of a probability"
    said = f"{golden.count} inputs, largest difference {difference:.3g} {unit} (allowed {golden.tolerance:g})"
    if difference > golden.tolerance:
        raise ArtifactError(said)
    return said
