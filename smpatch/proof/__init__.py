"""The structural proof: each signature has the requested computation after an edit.

``requests`` has the requests, which are made from the edit and the model before it. ``sameness``
compares them with the edited model by structural fingerprints. This package uses neither
TensorFlow nor code of the modules that edit.
"""
