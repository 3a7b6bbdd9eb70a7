"""Hostile bytes: each reader of smpatch gets mutated models and must end with an answer.

``mutations`` makes the models, ``targets`` runs the readers on one of them, and ``ledger`` has
their number: ``make test`` tries a few hundred, and ``make fuzz`` as many as ``SMPATCH_FUZZ``
requests (a number of examples for each target). A model that shows a defect becomes a fixture in
``fixtures/broken`` or a test of its own.

If atheris is installed, ``guided`` lets libFuzzer choose bytes by the code of smpatch that they
reach. It tries the ``rooms``.

Numbers that hypothesis draws decide each mutation. So hypothesis can reduce a failure to the
fewest and smallest numbers.
"""
