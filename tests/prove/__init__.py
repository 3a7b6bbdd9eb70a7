"""Long proofs that no model is lost: ``make prove`` runs them whole, ``make test`` runs a part.

``ledger`` records their counts. ``table`` adds them up; ``make prove`` prints it at its end.
"""
