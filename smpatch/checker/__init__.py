"""Checks of a model: they find faults that TensorFlow accepts until a request fails.

``inspection`` checks a model with the other modules:

* ``model``: tags, keys, reserved entries, and the objections of single consumers;
* ``signatures``: each signature against its graph;
* ``object_graph``: both halves of an export;
* ``state``: variables and tables that nothing fills;
* ``access``: operations that use files or the network;
* ``files``: the files beside the model file.

``reload`` asks TensorFlow's loaders. ``running`` runs the signatures and the warm-up requests.
``requirement`` compares signatures with a contract. ``same_as`` compares the model with another
model. ``choosing`` limits a check.

This module changes nothing and prints nothing: it returns findings.
"""

from smpatch.checker.findings import Compared, Finding, Report, Severity
from smpatch.checker.inspection import Checked, CheckOptions, check, check_all
from smpatch.checker.model import CONSUMERS, Consumer
from smpatch.checker.requirement import Requirement, parse_requirement
from smpatch.runs.values import Feeding, SameAs

__all__ = [
    "CONSUMERS",
    "CheckOptions",
    "Checked",
    "Compared",
    "Consumer",
    "Feeding",
    "Finding",
    "Report",
    "Requirement",
    "SameAs",
    "Severity",
    "check",
    "check_all",
    "parse_requirement",
]
