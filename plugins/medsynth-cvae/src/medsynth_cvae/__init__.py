"""A conditional variational autoencoder for medsynth."""
