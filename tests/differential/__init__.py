"""Random edits of random models, against a reference that uses TensorFlow's own classes."""
