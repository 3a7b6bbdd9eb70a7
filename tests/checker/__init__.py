"""Checks of models: planted faults, healthy models, and comparisons with TensorFlow."""
