"""Models that old releases of TensorFlow write, and read again after smpatch has edited them.

``make matrix`` calls this for each old release that can be installed. ``sessions`` and
``objects`` write models and tell what each gives, ``edits`` lists what is done to copies of
them and what must hold afterwards, ``read`` runs what there is then, and ``trial`` compares.
``sessions``, ``objects``, ``read`` and ``arrays`` are run by the old interpreters, from
Python 3.7 on, and by TensorFlow from 1.13 on: they import nothing of this package but
``arrays``, and nothing of smpatch.
"""
