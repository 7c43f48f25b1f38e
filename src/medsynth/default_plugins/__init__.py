"""The plugins that come with medsynth; they register through the same hooks as everybody else's."""
