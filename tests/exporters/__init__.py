"""Edits of every kind, alone and one after the other, on models of many exporters.

Names, keys and functions may change; the number that belongs to a name may not. TensorFlow alone
measures the expected numbers, on the model of the exporter. Each edit changes the expected result
as its request says (``expected``, ``verbs``), and never as the result of smpatch says.

``numbers`` runs all signatures of a model in three loaders, and ``subjects`` measures a model
before any edit.
"""
