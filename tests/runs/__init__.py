"""Checks of models: faults that are planted, models that are healthy, and what TensorFlow says."""
