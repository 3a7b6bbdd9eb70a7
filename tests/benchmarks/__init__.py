"""Speed and memory, as ratios against rivals measured in the same run.

``python -m tests.benchmarks`` (or ``make bench``) runs the contests and prints
the table. Nothing here is a timed test: a suite that fails when the machine is
busy teaches people to ignore it.
"""
