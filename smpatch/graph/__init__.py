"""Facts about a graph that need no TensorFlow."""
