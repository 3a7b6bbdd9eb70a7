"""TensorFlow as the oracle: a program that answers questions about models with TensorFlow's Python.

It shares nothing with smpatch, neither its schema nor its child processes, so that each answer is
TensorFlow's own. It runs as long as the tests, because ``import tensorflow`` takes seconds.

``client`` sends the questions and ``__main__`` answers them; ``loading``, ``parsing`` and the other
modules use TensorFlow.
"""
