"""The process in which functions of a user's file are traced; no model is loaded there.

What such a file changes in TensorFlow does not reach the process that validates. The program is
that of ``python_child``; ``child_main.py`` loads this file in a child process.
"""

from __future__ import annotations

from .python_child import PythonLoader, start
from .refusals import Unfit

__all__ = ["PythonLoader", "Unfit", "start"]
