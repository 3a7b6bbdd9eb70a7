"""Functions and objects that a signature needs in both halves of a TensorFlow 2 export.

An entry of ``signature_def`` names tensors of the main graph; the object graph names a wrapper
function with the same inputs and outputs, which ``wrapper`` makes. What is not in the main graph is
brought there first, by nodes of ``calls``: ``function_signature.promote`` calls a traced function,
``inner_outputs.expose`` calls copies of functions that yield an inner tensor too.

All of it is appended, as an ``Addition`` to a draft; existing bytes stay. What is uncertain is
refused. Nothing is written here.
"""
