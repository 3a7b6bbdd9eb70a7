"""Speed and memory, as ratios against rivals that the same run measures.

``python -m tests.benchmarks`` (or ``make bench``) measures and prints the tables: contests
against rivals, cost against size, throughput against ``--jobs``. With ``--write`` it writes
them into docs/evidence.md. None of them is a timed test: people learn to ignore a suite that fails
when the machine is busy.
"""
