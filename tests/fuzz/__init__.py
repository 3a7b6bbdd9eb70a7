"""Hostile bytes: mutated models go through every room that reads, and nothing may break.

``mutations`` makes them, ``targets`` lets each room read one, ``ledger`` says how many: ``make
test`` tries a few hundred, ``make fuzz`` as many as ``SMPATCH_FUZZ`` says (a number of examples
for each target). What is found becomes a fixture in ``fixtures/broken`` or a test of its own.

``guided`` lets libFuzzer choose by what smpatch's code is reached, where atheris is installed;
what it tries are the ``rooms``.

What a mutation does is decided by numbers that hypothesis draws, so that a failure comes back
with the fewest and smallest of them.
"""
