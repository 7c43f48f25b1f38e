"""A medsynth backbone that trains in seconds on a CPU."""
