"""The limits of a check: some of the signatures, and findings that do not count.

``CODES`` lists the codes of all findings; a test compares it with the documentation.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from smpatch.checker.findings import Finding
from smpatch.errors import UsageError
from smpatch.loader import MetaGraph

CODES: tuple[str, ...] = (
    "no-tags",
    "spelt-tags",
    "same-tags",
    "no-serve-tag",
    "no-signatures",
    "no-serving-default",
    "duplicate-key",
    "reserved-operation",
    "damaged",
    "no-outputs",
    "no-inputs",
    "alias",
    "no-name",
    "no-index",
    "missing-tensor",
    "damaged-graph",
    "dtype",
    "shape",
    "shape-left-out",
    "reference-output",
    "handle",
    "fed-twice",
    "fed-and-fetched",
    "partly-fed",
    "unfed-placeholder",
    "while-frame",
    "unused-input",
    "conditional-output",
    "variables-missing",
    "variable-not-restored",
    "table-not-filled",
    "python-function",
    "file-access",
    "network-access",
    "unserved-access",
    "classify-rules",
    "regress-rules",
    "unknown-method",
    "default-without-input",
    "default-type",
    "default-shape",
    "default-batch",
    "halves-disagree",
    "function-missing",
    "positional-arguments",
    "computations-differ",
    "c-runtime",
    "python-loader",
    "python-signature",
    "loader-hangs",
    "loader-crashes",
    "unregistered-operation",
    "unregistered-type",
    "run-fails",
    "not-run",
    "default-fails",
    "feed-cut",
    "run-dtype",
    "run-shape",
    "run-batch",
    "python-run-fails",
    "numbers-disagree",
    "numbers-unstable",
    "required-signature",
    "required-input",
    "required-output",
    "not-the-same",
    "nothing-compared",
    "not-compared",
    "warm-up-unreadable",
    "warm-up-signature",
    "warm-up-method",
    "warm-up-input",
    "warm-up-type",
    "warm-up-shape",
    "warm-up-output",
    "warm-up-tensor",
    "warm-up-records",
    "warm-up-fails",
    "stale-fingerprint",
    "fingerprint-unreadable",
    "other-fingerprint",
    "other-checksum",
    "fingerprint-not-computed",
    "not-dense",
    "bytes-alias",
    "consumer-type",
    "rank-zero",
    "size-zero",
    "no-batching",
    "default-not-read",
    "keras-serve-key",
    "needs-tags",
    "alias-not-resavable",
)
"""The codes of findings, in the order of the documentation."""


def listed(given: str | Iterable[str]) -> tuple[str, ...]:
    """Return names that are given one by one or with commas between them.

    Example:
        >>> listed("dtype, shape")
        ('dtype', 'shape')
        >>> listed(["dtype", "shape,alias"])
        ('dtype', 'shape', 'alias')
    """
    texts = [given] if isinstance(given, str) else given
    parts = (part.strip() for text in texts for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def check_codes(codes: Sequence[str]) -> None:
    """Refuse codes that no finding has.

    Raises:
        UsageError: A code is unknown; the error names the most similar one.
    """
    for code in codes:
        if code not in CODES:
            raise UsageError(
                f"no finding has the code {code!r}", where="--ignore", hint=_near(code, CODES)
            )


def check_keys(keys: Sequence[str], meta_graphs: Iterable[MetaGraph]) -> None:
    """Refuse keys of signatures that neither a MetaGraph nor its object graph has.

    Raises:
        UsageError: A key is unknown; the error names the most similar one.
    """
    if not keys:
        return
    known: dict[str, None] = {}
    for each in meta_graphs:
        known |= dict.fromkeys(each.signatures)
        known |= dict.fromkeys(each.objects.signatures if each.has_object_graph else ())
    for key in keys:
        if key not in known:
            hint = _near(key, known)
            raise UsageError(f"the model has no signature {key!r}", where="--signature", hint=hint)


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there is {', '.join(known)}" if known else "there is none"


def ignoring(finding: Finding, codes: Collection[str]) -> Finding:
    """Return a finding as one that does not count, if its code is among ``codes``."""
    return replace(finding, ignored=True) if finding.code in codes else finding
