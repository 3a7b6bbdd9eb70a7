"""Validation of an edited model by TensorFlow, before the commit.

``reload`` asks TensorFlow, in child processes; ``comparing`` compares the answers with the written
signatures.
"""

from smpatch.validator.reload import Edited, Mode, Validation, Validator

__all__ = ["Edited", "Mode", "Validation", "Validator"]
