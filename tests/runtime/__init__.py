"""Tests of child processes: real ones, with the real TensorFlow and with stand-ins."""
