"""Old releases of TensorFlow write models; smpatch edits copies; old releases read them again.

``make matrix`` runs this package for each old release that can be installed. ``sessions`` and
``objects`` write models and record the values that each gives, ``edits`` lists the edits of copies
and their expected results, ``read`` runs the models in TensorFlow, and ``trial`` compares. The old
interpreters run ``sessions``, ``objects``, ``read`` and ``arrays``, from Python 3.7 and from
TensorFlow 1.13 on. So these modules import nothing of this package but each other, and nothing of
smpatch.
"""
