"""Edits and checks of many models on Apache Beam: Dataflow, Flink, Spark or the local runner.

``PatchModels`` and ``CheckModels`` turn paths or URLs of models into outcomes. Beam may process an
element twice, such as after a failure, and this is safe: an edit that is applied already changes no
byte, and a commit in a store is conditional. If a model fails, its outcome is ``failed``, and the
pipeline continues.

Each worker process has one ``smpatch.Session``, or on the local runner one for each of its threads,
so that TensorFlow's child processes serve several models. ``python -m smpatch.beam`` runs a
pipeline of these transforms.

No other package of smpatch imports this one. The first use of a name in ``__all__`` imports Beam;
the extra ``smpatch[beam]`` installs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smpatch.beam.transforms import CheckModels, ModelOutcome, PatchModels

__all__ = ["CheckModels", "ModelOutcome", "PatchModels"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of several classes
    """Return a name of ``transforms``, which is imported here."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from smpatch.beam import transforms  # noqa: PLC0415 - Beam is imported late

    return getattr(transforms, name)
