"""The structural proof: each signature computes after an edit what was asked for.

``requests`` has the requests, made from the edit and the model before it; ``sameness`` compares
them with the edited model by structural fingerprints. Nothing here uses TensorFlow or code of the
modules that edit.
"""
