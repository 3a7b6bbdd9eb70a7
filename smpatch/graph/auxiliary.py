"""Nodes that serve training, saving, watching or control flow, known by operation and name.

This module hides nothing: whoever lists tensors decides what to leave out.
"""

from __future__ import annotations

import re

__all__ = ["automatic", "auxiliary"]

_AUXILIARY = re.compile(
    r".*Summary(V2)?|(Ref)?(Switch|Merge|Enter|Exit|NextIteration)|LoopCond|Assert|Print(V2)?"
    r"|Shape(N)?|Size|Rank|CheckNumerics|BroadcastGradientArgs|(Ref)?Identity.*Grad|.*Grad(V2)?"
    r"|Save(V2|Slices)?|Restore(V2|Slice)?|MergeV2Checkpoints|ShardedFilename"
    r"|Assign.*|.*Apply[A-Z].*|(Resource)?Scatter(Add|Sub|Update)|ReadVariableOp"
    r"|IsVariableInitialized|VarIsInitializedOp"
)
"""Operations of training, saving, watching and control flow."""

_AUXILIARY_SCOPE = re.compile(
    r"(gradients?|gradient_tape|save|assert_[a-z_]+|report_uninitialized.*|Adam|summaries)(_\d+)?"
)
"""Scopes of the same."""

_CONDITION = re.compile(r"(switch_[tf]|pred_id)(_\d+)?")
"""Names of the operations Identity that ``tf.cond`` puts around its condition."""

_AUTOMATIC = re.compile(r"(Identity|(Stateful)?PartitionedCall)(_\d+)?")


def auxiliary(op: str, name: str) -> bool:
    """Return whether a node serves training, saving, watching or control flow."""
    *scopes, last = name.split("/")
    condition = op == "Identity" and _CONDITION.fullmatch(last)
    return bool(_AUXILIARY.fullmatch(op) or condition) or any(
        map(_AUXILIARY_SCOPE.fullmatch, scopes)
    )


def automatic(name: str) -> bool:
    """Return whether a node, nameless but for its operation, only hands on what others compute."""
    return _AUTOMATIC.fullmatch(name.rpartition("/")[2]) is not None
