"""Long proofs that a model is never lost: ``make prove`` runs them whole, the suite a part.

What they count goes through ``ledger`` to ``table``, which ``make prove`` prints at its end.
"""
