"""Child processes that load TensorFlow; no other package loads it.

    installation where TensorFlow is installed, found without importing it
    process    starts a child, asks it with a time limit, and always ends it
    questions  the questions and their answers as frozen values; other packages use this
    messages   TensorFlow's messages as one short, clean line
    child_main the program that a child process starts (never imported)
    traces     the question that has a function traced
    capi_child, python_child, light_child, trace_child  the programs in the child (never imported)
    trace_*    functions of users and recipes, traced in the child (never imported)

This package imports no other one of smpatch. It reports facts; the validator decides whether a
model that does not load is a fault of an edit.
"""
