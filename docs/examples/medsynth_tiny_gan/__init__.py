"""A medsynth generator: the smallest that keeps the contract."""
