"""Edits of every kind, alone and one after the other, on models of many exporters.

Names, keys and functions may change; the number that belongs to a name may not. TensorFlow alone
measures the expected numbers, on the model of the exporter. The request of each edit changes the
expected result (``expected``, ``verbs``); the result of smpatch never does.

``numbers`` runs all signatures of a model in three loaders, and ``subjects`` measures a model
before any edit.
"""
