"""Signatures that are made of another one, judged by TensorFlow."""
