"""EfficientNetV2 as a medsynth backbone."""
