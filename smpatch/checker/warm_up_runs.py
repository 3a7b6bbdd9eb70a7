"""Warm-up requests that are run, as TF Serving runs them when it loads a model.

Predict requests alone are run, each once: of the methods that take examples the values are
not decoded. A request that does not fit the signature is left out.

Source: ``tensorflow_serving/servables/tensorflow/predict_util.cc`` (what a request feeds and
fetches; an input that it leaves out takes its default).
"""

from __future__ import annotations

from collections.abc import Iterator

from smpatch import warmup
from smpatch.checker.findings import Finding, Subject, fault, note
from smpatch.checker.reload import C_RUNTIME, perished
from smpatch.errors import ModelUnreadableError
from smpatch.runs.feeds import in_c
from smpatch.runs.protos import array_of
from smpatch.runs.values import UnmakeableError
from smpatch.runtime import questions
from smpatch.runtime.process import ChildError, Program
from smpatch.runtime.questions import RunResult
from smpatch.signature import SignatureDef, TensorSpec
from smpatch.validator import Validator
from smpatch.warmup import WarmUp, misfits

__all__ = ["run_warm_up"]

_KINDS = frozenset({"predict", "predict_streamed"})


def run_warm_up(validator: Validator, subject: Subject) -> Iterator[Finding]:
    """Run the requests in the session that the C runtime has kept; yield those that fail.

    Args:
        validator: Whose child has the session.
        subject: The MetaGraph that servers load.
    """
    try:
        requests = warmup.requests(subject.model.directory)
    except ModelUnreadableError:
        return  # the check of the file reports it
    where = str(warmup.PLACE)
    seen: set[tuple[WarmUp, tuple[bytes, ...]]] = set()
    for call in requests:
        signature = subject.meta_graph.signatures.get(call.signature)
        if signature is None or call.kind not in _KINDS or (call, call.values) in seen:
            continue
        seen.add((call, call.values))
        if any(misfits(call, signature)) or not _complete(call, signature):
            continue
        try:
            said = _run(validator, call, signature)
        except UnmakeableError as error:
            yield note("not-run", where, f"record {call.record}: {error}")
        except ChildError as error:
            yield perished(subject, C_RUNTIME, error)
            return  # the session is gone with the child
        else:
            if not said.ok:
                text = f"record {call.record}, a request to {call.signature!r}, fails: "
                hint = "TF Serving does not load the model"
                yield fault("warm-up-fails", where, text + said.message, hint)


def _complete(call: WarmUp, signature: SignatureDef) -> bool:
    """Return whether a request feeds all that the signature needs, and feeds dense tensors."""
    given = {*call.inputs, *signature.defaults}
    return all(
        alias in given and isinstance(spec, TensorSpec) for alias, spec in signature.inputs.items()
    )


def _run(validator: Validator, call: WarmUp, signature: SignatureDef) -> RunResult:
    target = in_c({call.signature: signature})[call.signature]
    given = {**signature.defaults, **dict(zip(call.inputs, call.values, strict=True))}
    values = {alias: (array_of(given[alias]),) for alias in signature.inputs}
    ready = target.yielding(call.outputs or target.outputs).call(values)
    fetched = {name for names in ready.fetches.values() for name in names}
    return validator.ask(
        Program.CAPI,
        lambda child, limit: questions.run(
            child, ready.feeds, sorted(fetched - ready.feeds.keys()), limit
        ),
    )
