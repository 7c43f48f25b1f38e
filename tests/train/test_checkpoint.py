from __future__ import annotations

import keras
import numpy as np
import pytest

from medsynth.errors import ArtifactError
from medsynth.train.checkpoint import load_variables, model_variables, optimizer_variables, save_variables


def _model(width=3):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(width), keras.layers.Dropout(0.5)])
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    return model


def _groups(model):
    return {"model": model_variables(model), "optimizer": optimizer_variables(model)}


def test_dropout_and_the_optimizer_go_on_where_they_were(tmp_path):
    # Keras' own save_weights leaves the states of seed generators behind.
    x, y = np.ones((8, 4), "float32"), np.ones((8, 3), "float32")
    first = _model()
    first.train_on_batch(x, y)
    save_variables(tmp_path / "c.npz", _groups(first), {"step": 1})
    second = _model()
    assert load_variables(tmp_path / "c.npz", _groups(second)) == {"step": 1}
    for _ in range(3):
        assert first.train_on_batch(x, y)[0] == pytest.approx(second.train_on_batch(x, y)[0], abs=1e-7)


def test_metrics_are_no_part_of_a_checkpoint():
    model = _model()
    model.train_on_batch(np.ones((8, 4), "float32"), np.ones((8, 3), "float32"))
    assert not {id(v) for v in model.metrics_variables} & {id(v) for v in model_variables(model)}
    assert any("seed" in variable.path for variable in model_variables(model))


def test_a_file_of_another_network_is_refused(tmp_path):
    save_variables(tmp_path / "c.npz", _groups(_model()))
    with pytest.raises(ArtifactError, match=r"must have shape \(4, 5\)"):
        load_variables(tmp_path / "c.npz", _groups(_model(5)))
    with pytest.raises(ArtifactError, match="other options"):
        load_variables(tmp_path / "c.npz", {"model": model_variables(_model())[:1]})


@pytest.mark.parametrize("kept", [0, 10, 500])
def test_a_damaged_file_is_told(tmp_path, kept):
    path = tmp_path / "c.npz"
    save_variables(path, _groups(_model()))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ArtifactError, match=r"c\.npz: cannot be read"):
        load_variables(path, _groups(_model()))
    with pytest.raises(ArtifactError, match=r"absent\.npz"):
        load_variables(tmp_path / "absent.npz", {})
