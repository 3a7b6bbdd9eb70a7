"""Signatures of TensorFlow 2 exports, in both halves and with the values that belong to them."""
