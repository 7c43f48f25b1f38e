"""Every check of backbones passes a sound network and finds the fault that it is there for."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from medsynth.plugins import Backbone
from medsynth.testing import backbone

_builds = itertools.count(1)


class Sound(Backbone):
    """A network without a fault; the others change one thing each."""

    name = "net"

    def build(self, image, num_classes):
        inputs = keras.Input(image.shape, dtype="uint8", name="images")
        features = layers.GlobalAveragePooling2D()(self.trunk(ops.cast(inputs, "float32") / 255.0))
        logits = layers.Dense(num_classes, bias_initializer="ones")(features)
        return self.model(inputs, {"logits": logits, "probabilities": ops.softmax(logits), "features": features})

    def trunk(self, x):
        return layers.Conv2D(4, 3, strides=2, activation="relu")(x)

    def model(self, inputs, outputs):
        return keras.Model(inputs, outputs)


class FloatInput(Sound):
    def build(self, image, num_classes):
        inputs = keras.Input(image.shape, dtype="float32", name="images")
        x = layers.GlobalAveragePooling2D()(inputs)
        logits = layers.Dense(num_classes)(x)
        return keras.Model(inputs, {"logits": logits, "probabilities": ops.softmax(logits), "features": x})


class ListOfOutputs(Sound):
    def model(self, inputs, outputs):
        return keras.Model(inputs, list(outputs.values()))


class NoFeatures(Sound):
    def model(self, inputs, outputs):
        del outputs["features"]
        return keras.Model(inputs, outputs)


class MoreOutputs(Sound):
    def model(self, inputs, outputs):
        return keras.Model(inputs, {**outputs, "attention": outputs["features"]})


class HalfFeatures(Sound):
    def model(self, inputs, outputs):
        return keras.Model(inputs, {**outputs, "features": ops.cast(outputs["features"], "float16")})


class MapsAsFeatures(Sound):
    def model(self, inputs, outputs):
        return keras.Model(inputs, {**outputs, "features": outputs["features"][:, None]})


class OneClassTooFew(Sound):
    def build(self, image, num_classes):
        return super().build(image, num_classes - 1)


class GreyOnly(Sound):
    def build(self, image, num_classes):
        if image.channels != 1:
            raise ValueError("grey images only")
        return super().build(image, num_classes)


class Sigmoid(Sound):
    def model(self, inputs, outputs):
        return keras.Model(inputs, {**outputs, "probabilities": ops.sigmoid(outputs["logits"])})


class Unseeded(Sound):
    def trunk(self, x):
        return layers.Conv2D(4, 3, kernel_initializer=keras.initializers.RandomNormal(seed=next(_builds)))(x)


class Frozen(Sound):
    def model(self, inputs, outputs):
        model = keras.Model(inputs, outputs)
        model.trainable = False
        return model


class Exploding(Sound):
    def trunk(self, x):
        return layers.Conv2D(4, 3)(x) * np.float32(1e38) * np.float32(10.0)


class HiddenConstant(Sound):
    """Holds a random number that no weight knows of."""

    def trunk(self, x):
        return layers.Conv2D(4, 3)(x * np.float32(next(_builds)))


class CapturedTensor(Sound):
    """Sound, though harder to export: tensors that are made while the network is built."""

    def trunk(self, x):
        return layers.Conv2D(4, 3)(layers.Normalization(mean=[0.5], variance=[2.0])(x) - ops.convert_to_tensor(0.5))


class TwoFaced(layers.Layer):
    """Computes another function in a graph than eagerly."""

    def call(self, x):
        return x if tf.executing_eagerly() else 2.0 * x


class Converted(Sound):
    def trunk(self, x):
        return TwoFaced()(layers.Conv2D(4, 3)(x))


class BatchMean(Sound):
    def trunk(self, x):
        return layers.Conv2D(4, 3)(x - ops.mean(x, axis=0, keepdims=True))


class NoSuchFreezePoint(Sound):
    def freeze_points(self, model):
        return ("block6_pool",)


FAULTS = [
    (FloatInput, "inputs_and_outputs", "uint8"),
    (ListOfOutputs, "inputs_and_outputs", "must be a dict. Got list"),
    (NoFeatures, "inputs_and_outputs", r"lack \['features'\]"),
    (MoreOutputs, "inputs_and_outputs", r"Got also \['attention'\]"),
    (HalfFeatures, "inputs_and_outputs", "features must be float32. Got float16"),
    (MapsAsFeatures, "inputs_and_outputs", "features must have 2 axes"),
    (OneClassTooFew, "inputs_and_outputs", "3 classes"),
    (GreyOnly, "inputs_and_outputs", "grey images only"),
    (Exploding, "inputs_and_outputs", "must be finite"),
    (Sigmoid, "probabilities_are_the_softmax_of_logits", "Not equal to tolerance"),
    (Unseeded, "same_seed_same_weights", "Arrays are not equal"),
    (Frozen, "training_step_moves_weights", "must have trainable weights"),
    (Exploding, "training_step_moves_weights", "must be finite"),
    (HiddenConstant, "weights_survive_saving", "Not equal to tolerance"),
    (Converted, "onnx_equals_keras", "Not equal to tolerance"),
    (BatchMean, "rows_do_not_depend_on_their_batch", "Not equal to tolerance"),
    (NoSuchFreezePoint, "freeze_points_are_layers", "'block6_pool' is no layer"),
]


@pytest.mark.parametrize("check", backbone.CHECKS, ids=lambda check: check.__name__)
def test_a_sound_network_passes(subject_of, check):
    check(subject_of("backbone", Sound))


def test_captured_tensors_are_exported(subject_of):
    backbone.check_onnx_equals_keras(subject_of("backbone", CapturedTensor))


@pytest.mark.parametrize(("cls", "name", "message"), FAULTS, ids=lambda each: getattr(each, "__name__", None))
def test_a_fault_is_found(subject_of, cls, name, message):
    with pytest.raises((AssertionError, ValueError), match=message):
        getattr(backbone, f"check_{name}")(subject_of("backbone", cls))


def test_every_check_finds_a_fault():
    assert {f"check_{name}" for _, name, _ in FAULTS} == {check.__name__ for check in backbone.CHECKS}
