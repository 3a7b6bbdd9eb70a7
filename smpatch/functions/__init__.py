"""Functions and objects that a signature needs in both halves of a TensorFlow 2 export.

An entry of ``signature_def`` names tensors of the main graph; the object graph names a wrapper
function with the same inputs and outputs, which ``wrapper`` makes. If a tensor is not in the main
graph, nodes of ``calls`` bring it there first: ``function_signature.promote`` calls a traced
function, ``inner_outputs.expose`` calls copies of functions that also yield an inner tensor.

All new nodes, functions and objects are appended, as an ``Addition`` to a draft. Existing ones
stay, unless ``prune`` proves that nothing needs them. An uncertain case is refused. This package
writes no file.
"""
