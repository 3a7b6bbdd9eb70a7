"""Edits of every kind, alone and one after the other, on models of many exporters.

Names, keys and functions may change; the number that belongs to a name may not. What must
come out is measured on the model as its exporter wrote it, by TensorFlow alone, and follows
each edit by what was asked for (``expected``, ``verbs``), never by what smpatch made of it.

``numbers`` runs all signatures of a model in three loaders, ``subjects`` measures a model
before any edit.
"""
