"""The one way from a file or an array to the pixels that a model sees.

Training, calibration, evaluation and inference all call :func:`load_image`; there is no second preprocessing anywhere.
The steps, in order: decode, undo EXIF rotation, alpha over black, grey levels (above 8 bits) through the fixed
intensity window, channels, resize. What the model does with the uint8 pixels (scaling, mean) is inside its own graph.

A large upright JPEG is decoded at 1/2, 1/4 or 1/8 of its size by its own transform, as long as at least three times
the model's height and width remain for the resize. That costs a fraction of a grey level on average and saves most of
the time; it is arithmetic on integers, the same for training and inference.

The resize is Pillow's bilinear filter, whose support grows with the reduction (antialiased); height and width are
scaled independently, so the whole image is kept and its aspect is not.
"""

from medsynth.images.decode import ImageSource, is_grey, read_pixels
from medsynth.images.dicom import is_dicom
from medsynth.images.limits import IMAGE_SUFFIXES, MAX_PIXELS
from medsynth.images.load import RESIZE, load_image, load_images
from medsynth.images.spec import ImageSpec
from medsynth.images.window import suggest_window

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "RESIZE",
    "ImageSource",
    "ImageSpec",
    "is_dicom",
    "is_grey",
    "load_image",
    "load_images",
    "read_pixels",
    "suggest_window",
]
