"""On two devices that TensorFlow makes of one processor, which must be asked for before it starts."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from medsynth.errors import ConfigError
from medsynth.train.replicas import Replicas

TWO = """
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import json, keras, numpy as np
from medsynth.train.replicas import Replicas
"""


def told(script: str) -> dict:
    done = subprocess.run([sys.executable, "-c", TWO + textwrap.dedent(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_two_devices_take_the_step_that_one_takes_on_the_whole_batch():
    found = told(
        """
        class Line(keras.Model):
            def __init__(self):
                super().__init__()
                self.layer = keras.layers.Dense(1, kernel_initializer="ones")
                self.layer.build((None, 12))
                self.built = True

            def train_step(self, data):
                images, labels = data
                with tf.GradientTape() as tape:
                    made = self.layer(tf.reshape(tf.cast(images, "float32") / 255.0, (-1, 12)))[:, 0]
                    loss = tf.reduce_mean(tf.square(made - tf.cast(labels, "float32")))
                weights = self.layer.trainable_variables
                self.optimizer.apply(tape.gradient(loss, weights), weights)
                return {"loss": loss, "images": tf.cast(tf.shape(images)[0], "float32")}

        rng = np.random.default_rng(0)
        images, labels = rng.integers(0, 256, (30, 2, 2, 3), dtype=np.uint8), np.arange(30) % 2
        ended = {}
        for count in (1, 2):
            replicas = Replicas(count, 8)
            with replicas.building():
                model = Line()
                model.compile(keras.optimizers.SGD(0.05))
                model.optimizer.build(model.layer.trainable_variables)
            replicas.adopt(model)
            step = replicas.step(model, images, labels)
            order = np.random.default_rng(1)
            logs = [{k: float(v) for k, v in step(order.integers(0, 30, 8)).items()} for _ in range(5)]
            ended[count] = [logs, model.layer.get_weights()[0].ravel().tolist()]
        print(json.dumps(ended))
        """
    )
    (one, weights), (two, shared) = found["1"], found["2"]
    assert [row["images"] for row in one] == [8.0] * 5
    assert [row["images"] for row in two] == [4.0] * 5
    assert [row["loss"] for row in two] == pytest.approx([row["loss"] for row in one], rel=1e-5)
    assert one[-1]["loss"] != pytest.approx(one[0]["loss"], rel=0.05)
    assert shared == pytest.approx(weights, rel=1e-5)


def test_a_generator_on_two_devices_resumes_to_the_same_weights_and_is_exported(tmp_path):
    found = told(
        f"""
        import shutil
        from pathlib import Path
        import medsynth
        from medsynth.train import generator
        from medsynth.train.checkpoint import model_variables

        out, adopted = Path({str(tmp_path)!r}), []
        settings = dict(
            recipe="modern", width=2, discriminator_width=4, latent=8, image_size=16, batch_size=8, steps=8,
            sample_every=4, watched=3, devices=2, deterministic=True, r1=1.0, r1_every=2,
        )
        class Kept(Replicas):
            def adopt(self, model):
                super().adopt(model)
                adopted.append(model)
        generator.Replicas = Kept
        drawn = medsynth.dataset.make_phantom(patients=24, size=32)
        data = medsynth.dataset.from_arrays(drawn.images, drawn.labels, groups=drawn.groups, source="phantom")
        save = generator._Recorder._save
        def copied(self, seconds):
            save(self, seconds)
            if self.step == 4:
                shutil.copytree(out / "whole", out / "cut")  # What a kill after it would leave.
        generator._Recorder._save = copied
        whole = medsynth.train_generator(data, out=out / "whole", **settings)
        apart = [variable.path for variable in model_variables(adopted[0])
                 if not np.array_equal(*(each.numpy() for each in variable.value.values))]
        resumed = medsynth.train_generator(data, out=out / "cut", resume=True, **settings)
        equal = {{}}
        for name in ("weights.npz", "checkpoint.npz"):
            with np.load(whole.folder / name) as one, np.load(resumed.folder / name) as other:
                keys = [key for key in one.files if key != "state"]
                equal[name] = [len(keys), sum(np.array_equal(one[key], other[key]) for key in keys)]
        made = medsynth.load_model(medsynth.export(resumed, out / "g.onnx"), device="cpu").sample(4, seed=0)
        print(json.dumps({{"apart": apart, "equal": equal, "made": made.shape, "steps": resumed.outcome["steps"]}}))
        """
    )
    # The seeds, and nothing else: what is random differs from device to device, the weights do not.
    assert found["apart"]
    assert all("seed" in path for path in found["apart"])
    assert found["steps"] == 8
    assert found["made"] == [4, 16, 16, 1]
    for stored, same in found["equal"].values():
        assert stored == same > 50


def test_more_devices_than_there_are():
    with pytest.raises(ConfigError, match=r"devices must be at most \d+: TensorFlow finds that many .PUs\. Got 99"):
        Replicas(99, 198)


@pytest.mark.parametrize(("devices", "batch"), [(3, 8), (4, 4)])
def test_a_batch_that_cannot_be_shared(devices, batch):
    with pytest.raises(ConfigError, match=f"multiple of devices, two images for each at least. Got {batch} and"):
        Replicas(devices, batch)
