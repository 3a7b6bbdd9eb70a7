"""One contract over every model: those in ``fixtures/models`` and those of a corpus directory.

``SMPATCH_CORPUS`` names the corpus: SavedModels at any depth, with or without a
``MANIFEST.json`` like that of the fixtures. TensorFlow is the judge (``tests/judge``).

``python -m tests.contract.report`` lists the models that TensorFlow itself does not load.
"""
