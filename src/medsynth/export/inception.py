"""InceptionV3 with Keras' ImageNet weights as an ONNX file of features, for the distances of ``evaluate``.

It is the network of Keras' applications, not that of the papers (TensorFlow's release of 2015, with other weights and
pooling), so its numbers must not stand in one column with those of papers.
"""

from __future__ import annotations

import json
from pathlib import Path

import keras
import onnx

from medsynth.errors import ConfigError, MedsynthError
from medsynth.evaluate.features import FEATURES_KEY
from medsynth.export.keras_onnx import classifier_to_onnx
from medsynth.outputs import atomic_write

__all__ = ["NAME", "export_inception"]

NAME = "Keras Inception"

_SIZE = 299


def export_inception(out: str | Path, *, weights: str = "imagenet") -> Path:
    """Write the network: uint8 ``images`` [batch, 299, 299, 3] in, ``features`` [batch, 2048] out, the average pooling.

    Args:
        out: The file.
        weights: ``"imagenet"``: Keras' own, downloaded on first use; or a file of them without the top.

    Returns:
        ``out``.

    Raises:
        ConfigError: ``weights`` is neither, or does not fit.
        MedsynthError: The weights cannot be downloaded.
        OutputError: The file cannot be written.
    """
    if weights != "imagenet" and not Path(weights).is_file():
        raise ConfigError(f"weights must be 'imagenet' or a file of InceptionV3 without its top. Got '{weights}'.")
    try:
        network = keras.applications.InceptionV3(
            include_top=False, pooling="avg", weights=weights, input_shape=(_SIZE, _SIZE, 3)
        )
    except Exception as error:  # Keras passes on what urllib, h5py and its own layers raise.
        said = " ".join(str(error).split())[:200]
        if weights == "imagenet":
            raise MedsynthError(
                f"InceptionV3's ImageNet weights cannot be downloaded ({said}). Go online once, or download the file "
                "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5 elsewhere and give it with --weights FILE."
            ) from error
        raise ConfigError(f"{weights}: must hold the weights of InceptionV3 without its top ({said}).") from error
    images = keras.Input((_SIZE, _SIZE, 3), dtype="uint8", name="images")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    model = classifier_to_onnx(keras.Model(images, {"features": network(scaled)}))
    onnx.helper.set_model_props(model, {FEATURES_KEY: json.dumps({"name": NAME})})
    with atomic_write(Path(out)) as temporary:
        temporary.write_bytes(model.SerializeToString())
    return Path(out)
