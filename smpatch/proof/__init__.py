"""The structural proof: each signature computes after an edit what it is asked to compute.

``requests`` says what that is, from the edit and the model before it. ``sameness`` compares
it with the edited model, by structural fingerprints. Nothing here shares code with the
modules that edit, and nothing needs TensorFlow.
"""
