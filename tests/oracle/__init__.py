"""TensorFlow as the oracle: a program that says what TensorFlow's Python makes of a model.

It shares nothing with smpatch, neither its schema nor its own children: what it says is
TensorFlow's word. It lives as long as the tests, for ``import tensorflow`` takes seconds.

``client`` asks, ``__main__`` answers, ``loading`` and ``parsing`` know TensorFlow.
"""
