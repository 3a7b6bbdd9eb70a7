"""Edits and checks of many models on Apache Beam: Dataflow, Flink, Spark or the local runner.

``PatchModels`` and ``CheckModels`` turn paths or URLs of models into outcomes. An element may be
processed twice, as Beam does after a failure: an edit that is applied already changes no byte,
and a commit in a store is conditional. A model that fails is an outcome and stops no pipeline.

Each worker process has one ``smpatch.Session``, or on the local runner as many as it has threads,
so that TensorFlow's child processes stay from model to model. ``python -m smpatch.beam`` runs a
pipeline of these.

Nothing else imports this package. Beam is imported with the first of its names; it comes with the
extra ``smpatch[beam]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smpatch.beam.transforms import CheckModels, ModelOutcome, PatchModels

__all__ = ["CheckModels", "ModelOutcome", "PatchModels"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of several classes
    """Import the transforms when one is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from smpatch.beam import transforms  # noqa: PLC0415 - said above

    return getattr(transforms, name)
