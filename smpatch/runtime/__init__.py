"""TensorFlow behind a door: the only module that loads it, always in a child process.

    wheel      where TensorFlow is installed, found without importing it
    process    starts a child, asks it with a time limit, always gets rid of it
    answers    the questions and their answers as frozen values; other modules use this
    words      TensorFlow's messages as one short, clean line
    door       the program that a child enters by (never imported)
    capi_child, python_child   what runs behind the door (never imported)

The module knows nothing of smpatch's other modules, and what it reports are facts,
not judgements: whether a model that does not load is a fault of an edit is the
validator's business.
"""
