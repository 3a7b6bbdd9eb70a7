"""What must hold before a commit, as TensorFlow sees it.

``judge`` asks TensorFlow, in child processes; ``comparing`` holds what it says against what
was written.
"""

from smpatch.validator.judge import Edited, Judge, Mode, Validation

__all__ = ["Edited", "Judge", "Mode", "Validation"]
