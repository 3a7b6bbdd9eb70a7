"""Speed and memory, as ratios against rivals measured in the same run.

``python -m tests.benchmarks`` (or ``make bench``) measures and prints the tables: contests
against rivals, cost against size, throughput against ``--jobs``. With ``--readme`` it writes
them into the README. Nothing here is a timed test: a suite that fails when the machine is
busy teaches people to ignore it.
"""
