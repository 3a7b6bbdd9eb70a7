"""The program of the child process that traces functions of a user's file, and loads no model.

So changes that such a file makes in TensorFlow do not affect the process that validates. The
program is the same as in ``python_child``; ``child_main.py`` loads this file in a child process.
"""

from __future__ import annotations

from .python_child import PythonLoader, start
from .refusals import Unfit

__all__ = ["PythonLoader", "Unfit", "start"]
