"""Weights and training state in our own ``.npz`` files: arrays only, so that reading one never runs code.

Variables are stored by position. A network is rebuilt from the plugin and its options, which fixes the order and the
shapes; a file whose shapes differ is refused.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from medsynth.errors import ArtifactError
from medsynth.outputs import atomic_write

__all__ = ["load_variables", "model_variables", "optimizer_variables", "optimizers", "save_variables"]


def model_variables(model: keras.Model) -> list[keras.Variable]:
    """Weights and the states of all seed generators (Keras' ``weights`` leaves those out), without metrics."""
    metrics = {id(variable) for variable in model.metrics_variables}
    optimizers = {id(variable) for variable in optimizer_variables(model)}
    return [variable for variable in model.variables if id(variable) not in metrics | optimizers]


def optimizers(model: keras.Model) -> list[keras.Optimizer]:
    """Every optimizer that is an attribute of the model, in the order of the attributes' names."""
    named = sorted((name, value) for name, value in vars(model).items() if isinstance(value, keras.Optimizer))
    return list({id(value): value for _, value in named}.values())


def optimizer_variables(model: keras.Model) -> list[keras.Variable]:
    """Variables of :func:`optimizers`."""
    return [variable for optimizer in optimizers(model) for variable in optimizer.variables]


def save_variables(
    path: Path, groups: Mapping[str, Sequence[keras.Variable]], state: Mapping[str, Any] | None = None
) -> None:
    """Write groups of variables and a JSON-like state, atomically."""
    arrays = {
        f"{group}/{index:05d}": keras.ops.convert_to_numpy(variable)
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }
    with atomic_write(path) as temporary:
        np.savez(temporary, **arrays, state=np.frombuffer(json.dumps(state or {}).encode(), np.uint8))


def load_variables(path: Path, groups: Mapping[str, Sequence[keras.Variable]]) -> dict[str, Any]:
    """Assign what :func:`save_variables` wrote and return the state.

    Raises:
        ArtifactError: The file is missing or damaged, or belongs to another network.
    """
    try:
        # Opened here, because numpy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            for group, variables in groups.items():
                keys = [key for key in stored.files if key.startswith(f"{group}/")]
                if len(keys) != len(variables):
                    raise ArtifactError(
                        f"{path}: has {len(keys)} arrays for '{group}', the network has {len(variables)}. "
                        "It belongs to other options or another version of the plugin."
                    )
                for key, variable in zip(sorted(keys), variables, strict=True):
                    array = stored[key]
                    if array.shape != tuple(variable.shape):
                        raise ArtifactError(
                            f"{path}: {variable.path} must have shape {tuple(variable.shape)}. Got {array.shape}; "
                            "the file belongs to other options or another version of the plugin."
                        )
                    variable.assign(array)
            return dict(json.loads(stored["state"].tobytes()))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{path}: cannot be read as a checkpoint ({error}).") from error
