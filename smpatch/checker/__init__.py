"""Is this model fit to be served: everything that TensorFlow lets through until it fails.

``inspection`` goes through a model: ``document`` looks at tags, keys and reserved entries,
``signatures`` at each signature against its graph, ``methods`` at Serving's rules,
``object_graph`` at what Python sees of the same, ``files`` at the files next to the model file;
``reload`` asks TensorFlow's loaders, ``running`` feeds the signatures, ``requirement`` holds
them against a contract, ``model`` and ``triton`` hold what single readers reject, ``state``
looks for what nothing fills, and ``choosing`` limits a check.

This module changes nothing and prints nothing: it returns findings.
"""

from smpatch.checker.findings import Compared, Finding, Report, Severity
from smpatch.checker.inspection import CheckOptions, check
from smpatch.checker.model import CONSUMERS, Consumer
from smpatch.checker.requirement import Requirement, parse_requirement
from smpatch.runs.values import Feeding, SameAs

__all__ = [
    "CONSUMERS",
    "CheckOptions",
    "Compared",
    "Consumer",
    "Feeding",
    "Finding",
    "Report",
    "Requirement",
    "SameAs",
    "Severity",
    "check",
    "parse_requirement",
]
