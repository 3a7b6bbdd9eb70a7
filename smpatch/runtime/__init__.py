"""Child processes that load TensorFlow; no other package loads it.

    wheel      where TensorFlow is installed, found without importing it
    process    starts a child, asks it with a time limit, always gets rid of it
    answers    the questions and their answers as frozen values; other modules use this
    messages   TensorFlow's messages as one short, clean line
    child_main the program that a child process starts (never imported)
    capi_child, python_child   the programs inside the child (never imported)

The module knows nothing of smpatch's other modules, and what it reports are facts,
not verdicts: whether a model that does not load is a fault of an edit is the
validator's business.
"""
