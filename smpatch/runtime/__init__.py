"""Child processes that load TensorFlow; no other package loads it.

    installation  finds the installed TensorFlow without importing it
    process       starts a child, asks it with a time limit, and always ends it
    questions     has the questions and their answers as frozen values
    python_questions  has those about calls in Python and about traces
    messages      makes one short line of a message of TensorFlow
    absent        has files that stand for objects of a store until a child loads them
    child_main    is the program that a child process starts (never imported)
    capi_child, python_child, light_child, trace_child  run in it (never imported)
    trace_*       trace functions of users and recipes there (never imported)

This package imports no other one of smpatch. It reports facts; the validator decides whether a
model that does not load is a fault of an edit.
"""
