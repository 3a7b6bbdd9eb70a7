"""What can be told of a graph without running TensorFlow."""
