"""One contract for every model: those in ``fixtures/models`` and those of a corpus directory.

``SMPATCH_CORPUS`` names the corpus: SavedModels at any depth, with or without a
``MANIFEST.json`` like that of the fixtures. TensorFlow is the oracle (``tests/oracle``).

``python -m tests.contract.report`` lists the models that TensorFlow itself does not load.
"""
