"""Runs of signatures: values to feed, and arrays.

``values`` makes values up, ``files`` reads them, ``feeds`` gives them to signatures; ``arrays``
turns the runtime's arrays into NumPy's. ``sessions`` has a loaded model, ``pairs`` makes calls of
two models, ``comparing`` compares values.

These modules import NumPy, which comes with TensorFlow: they are imported only if a run is
requested.
"""
