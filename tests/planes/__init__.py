"""Signatures of TensorFlow 2 exports, in both planes and with the values that belong to them."""
