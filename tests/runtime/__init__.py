"""Tests of the room behind the door: real children, real and pretended TensorFlows."""
