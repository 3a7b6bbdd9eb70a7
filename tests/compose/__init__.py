"""Signatures that are composed of another one, compared with TensorFlow."""
