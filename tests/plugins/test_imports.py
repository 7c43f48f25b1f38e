"""Listing plugins is cheap: it imports neither TensorFlow nor Keras nor numpy nor onnxruntime."""

import subprocess
import sys

CODE = """
import sys
from medsynth.plugins import registry
names = {record.name for record in registry().records()}
assert {"vgg16", "acgan", "auc"} <= names, names
heavy = {"tensorflow", "keras", "numpy", "onnxruntime", "PIL", "sklearn", "scipy"} & set(sys.modules)
assert not heavy, heavy
from medsynth.plugins import ImageSpec
assert ImageSpec(height=8, width=8, channels=1).shape == (8, 8, 1)
"""


def test_listing_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_missing_name_is_an_attribute_error():
    import medsynth.plugins

    assert not hasattr(medsynth.plugins, "ImageSpecs")
