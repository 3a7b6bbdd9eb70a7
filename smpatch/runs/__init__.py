"""Runs of signatures: values to feed, and arrays.

``feeding`` says how values come about; ``values`` makes them up, ``npz`` reads them out of a
file, ``feeds`` gives them to signatures; ``arrays`` turns the runtime's arrays into NumPy's.

All but ``feeding`` import NumPy, which comes with TensorFlow: they are imported only where a
run is asked for.
"""
