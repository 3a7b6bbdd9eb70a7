"""Functions and objects that make a signature appear in ``tf.saved_model.load(...).signatures``.

A signature of a TensorFlow 2 export lives twice. signature_def, ``signature_def``, names tensors
of the main graph. The object graph, the object graph, names a wrapper function with the same inputs
and outputs. ``main_graph`` makes the second for the first, with ``wrapper``.

What is not in the main graph is brought there first: ``promote`` calls a traced function
from it, ``expose`` calls copies (``clone``) of functions that yield an inner tensor too,
both with nodes of ``calls``. ``compare`` finds where the two halves disagree.

All of it is appended: functions, objects, map entries. Existing bytes stay. What cannot be
told with certainty is refused, with the reason. Nothing is written here; the result is an
``Addition`` for the writer to splice in.
"""
