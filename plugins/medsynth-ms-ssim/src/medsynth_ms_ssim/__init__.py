"""A medsynth metric: mean multi-scale SSIM between pairs of generated images of one class."""
