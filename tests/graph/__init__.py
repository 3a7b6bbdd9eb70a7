"""The index of a graph and the answers from it, compared with TensorFlow's."""
