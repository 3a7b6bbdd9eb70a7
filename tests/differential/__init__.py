"""Random edits of random models, compared with a reference that uses TensorFlow's own classes."""
