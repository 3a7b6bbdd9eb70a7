"""What a graph says of itself, by its own words and by TensorFlow's."""
