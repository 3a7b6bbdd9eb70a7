"""Speed and memory, as ratios against rivals measured in the same run.

``python -m tests.benchmarks`` (or ``make bench``) measures and prints the tables: contests
against rivals, cost against size, throughput against ``--jobs``. With ``--write`` it writes
them into docs/evidence.md. Nothing here is a timed test: a suite that fails when the machine is
busy teaches people to ignore it.
"""
