"""Child processes that load TensorFlow; no other package loads it.

    installation  finds the installed TensorFlow without importing it
    process       starts a child, sends requests with a time limit, and always ends the child
    questions     has the questions to a child, and the answers as frozen values
    python_questions  has the questions about calls in Python and about traces
    messages      turns a message of TensorFlow into one short line
    early         starts the first child before the first question is known
    absent        makes files that stand for objects of a store until a child loads them
    child_main    is the program that a child process runs (not imported here)
    capi_child, python_child, light_child, trace_child  are loaded by it (not imported here)
    trace_*       trace functions of users and recipes, in a child or in this process

This package imports no other package of smpatch. It reports facts; the validator decides whether an
edit is the reason why a model does not load.
"""
