"""Validation of an edited model by TensorFlow, before the commit.

``reload`` asks TensorFlow, in child processes; ``comparing`` holds what it says against what
was written.
"""

from smpatch.validator.reload import Edited, Mode, Validation, Validator

__all__ = ["Edited", "Mode", "Validation", "Validator"]
