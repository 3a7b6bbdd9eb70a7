"""Signatures of TensorFlow 2 exports, in both halves, with their values."""
