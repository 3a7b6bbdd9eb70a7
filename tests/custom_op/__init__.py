"""A library of one custom operation, and a model that needs it."""
