"""The check of one signature against the graph, by rules that TensorFlow does not enforce.

The rules are those of ``rules`` for new signatures. This module applies each rule to the parts
of a signature one by one, so that it reports all faults, and not only the first.

It runs nothing, and does not ask TensorFlow.

Sources: ``tensorflow/python/saved_model/load_v1_in_v2.py`` and ``eager/wrap_function.py``
(what stops the Python loader), ``tensorflow/core/graph/subgraph.cc`` (what a session refuses).
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from smpatch import dtypes, rules, schema, tensor_syntax
from smpatch.checker.findings import Finding, Subject, Tensors, fault, note
from smpatch.display import quoted
from smpatch.errors import (
    ModelUnreadableError,
    RefusedError,
    TensorNotFoundError,
    UnreachableOutputError,
)
from smpatch.graph.reach import reads_besides
from smpatch.rules import breaches
from smpatch.signature import (
    CLASSIFY,
    PREDICT,
    REGRESS,
    CompositeTensorSpec,
    Shape,
    SignatureDef,
    Spec,
    TensorSpec,
    compatible,
    shape_text,
)
from smpatch.values import misfit, preview

_RULES = {CLASSIFY: ("classify-rules", "Classify"), REGRESS: ("regress-rules", "Regress")}
"""The code of a breach of the method's rules, and the request that fails because of it."""


def check_method(subject: Subject, key: str) -> Iterator[Finding]:
    """Yield findings about the method and the defaults of a signature."""
    signature, where = subject.meta_graph.signatures[key], subject.where(f"signature {key!r}")
    method = signature.method_name
    for breach in breaches(signature):
        code, request = _RULES[method]
        yield fault(code, where, breach.found, f"TF Serving's {request} refuses it")
    if method not in {PREDICT, *_RULES}:
        said = f"its method name is {method!r}" if method else "its method name is empty"
        hint = f"smpatch edit --signature {quoted(key)} --method predict"
        text = f"{said}; Classify and Regress of TF Serving refuse it"
        yield note("unknown-method", where, text, hint)
    yield from _defaults(subject, key, signature)


def _defaults(subject: Subject, key: str, signature: SignatureDef) -> Iterator[Finding]:
    for alias, value in signature.defaults.items():
        where = subject.where(f"signature {key!r}", f"default {alias!r}")
        spec = signature.inputs.get(alias)
        if spec is None:
            names = ", ".join(map(repr, signature.inputs)) or "there are none"
            yield fault("default-without-input", where, "there is no such input", names)
            continue
        if not isinstance(spec, TensorSpec):
            yield fault("default-type", where, "only a dense input can have a default")
            continue
        try:
            dtype, shape, _ = preview(value)
        except ModelUnreadableError as error:
            yield fault("default-type", where, error.found)
            continue
        if dtype != spec.dtype:
            yield fault("default-type", where, f"it is {dtype}, and the input is {spec.dtype}")
        if unread := misfit(value):
            yield fault("default-shape", where, unread, "requests that leave the input out fail")
        elif not compatible(shape, spec.shape):
            text = f"it has the shape {shape_text(shape)}, and the input {shape_text(spec.shape)}"
            yield fault("default-shape", where, text)
        else:
            yield from _rows(where, alias, signature)


def _rows(where: str, alias: str, signature: SignatureDef) -> Iterator[Finding]:
    """Yield a note about a default with a fixed number of rows, if the batch size is open.

    A server puts the default in the place of an input that a request leaves out, and does not
    repeat its rows: a default of one row is fed with a batch of three. The graph may broadcast it.

    Source: ``tensorflow_serving/servables/tensorflow/predict_util.cc`` (``PreProcessPrediction``).
    """
    spec = signature.inputs[alias]
    if not isinstance(spec, TensorSpec) or not _is_open(spec.shape):
        return
    others = (other for name, other in signature.inputs.items() if name not in signature.defaults)
    if not any(isinstance(each, TensorSpec) and _is_open(each.shape) for each in others):
        return
    try:
        _, shape, _ = preview(signature.defaults[alias])
    except ModelUnreadableError:
        return  # the value is reported already
    if not shape:
        return  # a scalar has no rows
    text = (
        f"its shape is {shape_text(shape)}: a request with another batch than {shape[0]} that "
        "leaves the input out works only if the graph broadcasts it"
    )
    yield note("default-batch", where, text, _advice(shape, spec.shape))


def _advice(shape: tuple[int | None, ...], wanted: Shape) -> str:
    if compatible((), wanted):
        return "a scalar is broadcast to every batch where the graph takes one"
    if shape[0] != 1:
        return f"of {shape_text((1, *shape[1:]))} a graph that broadcasts makes every batch"
    return "smpatch check --run --batch 1,3 runs it with the defaults"


def _is_open(shape: Shape) -> bool:
    return shape is None or shape[:1] == (None,)


_OTHER_FINDINGS = frozenset({"reference-tensor", "no-inputs", "partly-fed"})
"""Codes of notes of the rules for which this module has findings of its own."""

_NUMBER = re.compile(r".*:(-\d+|0\d+)", re.DOTALL)
"""A number of an output in a form that no exporter writes, and that only Python reads."""


def check_signature(subject: Subject, tensors: Tensors, key: str) -> tuple[Finding, ...]:
    """Check one signature, and return the faults and the notes."""
    check = _Check(subject, tensors, key)
    check.run()
    return tuple(check.found)


class _Check:
    """The check of one signature."""

    def __init__(self, subject: Subject, tensors: Tensors, key: str) -> None:
        self.found: list[Finding] = []
        self._subject = subject
        self._tensors = tensors
        self._key = key
        self._signature: SignatureDef = subject.meta_graph.signatures[key]
        self._stops = subject.python_reads_signature_def

    def run(self) -> None:
        signature = self._signature
        if not signature.outputs:
            self._fault("no-outputs", "", "it has no outputs, so that nothing can be asked of it")
        if not signature.inputs:
            text = "it has no inputs; TF Serving's Predict does not accept that"
            self.found.append(note("no-inputs", self._where(), text))
        self._aliases()
        message = schema.SignatureDef.FromString(self._subject.meta_graph.entries[self._key].value)
        inputs = self._specs("input", signature.inputs, message.inputs)
        outputs = self._specs("output", signature.outputs, message.outputs)
        for kind, specs in (("input", inputs), ("output", outputs)):
            for alias, spec in specs.items():
                self._servable(kind, alias, spec)
        fed = self._distinct(inputs, outputs)
        if inputs.keys() == signature.inputs.keys():
            # If an input is missing, each output that depends on it would seem unfed.
            try:
                self._graph(inputs, outputs, fed)
            except ModelUnreadableError as error:
                self._fault("damaged-graph", "", error.found, error.hint, stops=True)

    def _where(self, part: str = "") -> str:
        return self._subject.where(f"signature {self._key!r}", part)

    def _fault(
        self, code: str, part: str, text: str, hint: str = "", *, stops: bool = False
    ) -> None:
        stops = stops and self._stops
        self.found.append(fault(code, self._where(part), text, hint, stops_python=stops))

    def _aliases(self) -> None:
        usable: dict[str, object] = {}
        for alias, spec in self._signature.inputs.items():
            error = _refusal(rules.check_aliases, {alias: None}, {})
            if error is None:
                usable[alias] = None
                continue
            # The parts of a composite tensor are arguments with generated names.
            stops = isinstance(spec, TensorSpec) and (not alias or keyword.iskeyword(alias))
            hint = f"rename it: --rename-input {alias}=NEW"
            self._fault("alias", f"input {alias!r}", error.found, hint, stops=stops)
        for alias in self._signature.outputs:
            error = _refusal(rules.check_aliases, {}, {alias: None})
            if error is not None:
                hint = f"rename it: --rename-output {alias}=NEW"
                self._fault("alias", f"output {alias!r}", error.found, hint)
        error = _refusal(rules.check_aliases, usable, {})
        if error is not None:
            self._fault("alias", error.where, error.found, error.hint, stops=True)

    def _specs(
        self, kind: str, specs: Mapping[str, Spec], infos: Mapping[str, Any]
    ) -> dict[str, Spec]:
        """Compare specs with the graph; return those that exist, with the types of the graph."""
        there: dict[str, Spec] = {}
        for alias, spec in specs.items():
            if isinstance(spec, TensorSpec):
                written = infos[alias].HasField("tensor_shape")
                own = self._tensor(kind, alias, spec, written=written)
                if own is not None:
                    there[alias] = own
            elif self._parts(f"{kind} {alias!r}", spec):
                there[alias] = spec
        return there

    def _tensor(self, kind: str, alias: str, spec: TensorSpec, *, written: bool) -> Spec | None:
        part = f"{kind} {alias!r}"
        own = self._existing(kind, part, spec)
        if own is None:
            return None
        if dtypes.base(own.dtype) != dtypes.base(spec.dtype):
            text = f"{spec.name} is {own.dtype}, and the signature says {spec.dtype}"
            hint = (
                f"smpatch edit --signature {quoted(self._key)} --drop-{kind} "
                f"{quoted(alias)} --add-{kind} {quoted(f'{alias}={spec.name}')}"
            )
            if not tensor_syntax.understood(alias, spec.name):
                hint = f"smpatch.edit_signature with drop_{kind}s and add_{kind}s"
            self._fault("dtype", part, text, hint)
        if not compatible(own.shape, spec.shape):
            self._shape(kind, part, spec, own, written=written)
        elif dtypes.is_ref(own.dtype) and kind == "output":
            text = f"{own.name} is a reference to a TF1 variable, which only sessions yield"
            hint = "name what reads the variable, such as its read or Identity node"
            self._fault("reference-output", part, text, hint, stops=True)
        return own

    def _existing(self, kind: str, part: str, spec: TensorSpec) -> TensorSpec | None:
        """Return the tensor as the graph has it; None, and a report, if it does not exist."""
        name = spec.name
        if not name:
            self._fault("no-name", part, "it names no tensor", stops=True)
            return None
        if self._tensors.names_operation(name):
            text = f"{name!r} names an operation, not a tensor"
            # Python accepts an operation as an output that yields nothing.
            self._fault("no-index", part, text, f"write {name}:0", stops=kind == "input")
            name = f"{name}:0"
        try:
            return self._tensors.find(name) or TensorSpec(name, spec.dtype, spec.shape)
        except TensorNotFoundError as error:
            text = f"the graph has no tensor {name!r}: {error.found}"
            # Python accepts a negative number, which counts from the end, and reads 00 as 0.
            stops = _NUMBER.fullmatch(name) is None
            self._fault("missing-tensor", part, text, error.hint, stops=stops)
        except ModelUnreadableError as error:
            self._fault("damaged-graph", part, error.found, error.hint, stops=True)
        return None

    def _shape(
        self, kind: str, part: str, spec: TensorSpec, own: TensorSpec, *, written: bool
    ) -> None:
        # Python sets the shapes of outputs, and does not change those of inputs.
        stops = kind == "output"
        if written:
            text = f"{spec.name} has the shape {shape_text(own.shape)}, and the signature says "
            self._fault("shape", part, text + shape_text(spec.shape), stops=stops)
        else:
            text = f"its shape is left out, which says that it is a scalar; {spec.name} has "
            self._fault("shape-left-out", part, text + shape_text(own.shape), stops=stops)

    def _parts(self, part: str, spec: Spec) -> bool:
        """Compare the parts of a composite tensor; return whether the graph has all of them."""
        if isinstance(spec, CompositeTensorSpec) and not spec.components:
            self._fault("no-name", part, "it names no tensor", stops=True)
            return False
        there = True
        for tensor in spec.tensors():
            if self._tensors.names_operation(tensor.name):
                text = f"{tensor.name!r} names an operation, not a tensor"
                self._fault("no-index", part, text, f"write {tensor.name}:0", stops=True)
                there = False
                continue
            own = self._existing("component", part, tensor)
            if own is None:
                there = False
                continue
            if dtypes.base(own.dtype) != dtypes.base(tensor.dtype):
                text = f"{tensor.name} is {own.dtype}, and the signature says {tensor.dtype}"
                self._fault("dtype", part, text)
            if not compatible(own.shape, tensor.shape):
                text = (
                    f"{tensor.name} has the shape {shape_text(own.shape)}, and the signature says "
                )
                self._fault("shape", part, text + shape_text(tensor.shape))
        return there

    def _servable(self, kind: str, alias: str, spec: Spec) -> None:
        inputs, outputs = ({alias: spec}, {}) if kind == "input" else ({}, {alias: spec})
        error = _refusal(rules.check_servable, inputs, outputs)
        if error is not None:
            self._fault("handle", f"{kind} {alias!r}", error.found)

    def _distinct(
        self, inputs: Mapping[str, Spec], outputs: Mapping[str, Spec]
    ) -> Mapping[str, str]:
        """Report tensors that are fed twice, or fed and fetched; return fed ones with aliases."""
        error = _refusal(rules.check_distinct, inputs, {})
        if error is not None:
            self._fault("fed-twice", error.where, error.found, error.hint, stops=True)
        for alias, spec in outputs.items() if error is None else ():
            error = _refusal(rules.check_distinct, inputs, {alias: spec})
            if error is None:
                continue
            if isinstance(spec, TensorSpec):
                self._fault("fed-and-fetched", error.where, error.found, error.hint)
            else:  # a sparse or ragged output may share parts with the input
                where = self._where(error.where)
                self.found.append(note("fed-and-fetched", where, error.found, error.hint))
        return {each.name: alias for alias, spec in inputs.items() for each in spec.tensors()}

    def _graph(
        self, inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], fed: Mapping[str, str]
    ) -> None:
        meta_graph = self._subject.meta_graph
        try:
            notes = rules.check_graph(meta_graph, inputs, outputs, fed)
        except RefusedError:
            self._offending(inputs, outputs, fed)
            return
        self.found += [
            note(each.code, self._where(), each.text)
            for each in notes
            if each.code not in _OTHER_FINDINGS
            # An input that seems unused may be needed for an output that is missing.
            and (each.code != "unused-input" or outputs.keys() == self._signature.outputs.keys())
        ]
        fetched = [each.name for spec in outputs.values() for each in spec.tensors()]
        for name in reads_besides(meta_graph.graph, fetched, set(fed)):
            text = f"{name} is needed although another output of its operation is fed instead"
            hint = "sessions serve that; feed all outputs of the operation that are used"
            self._fault("partly-fed", "", text, hint, stops=True)

    def _offending(
        self, inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], fed: Mapping[str, str]
    ) -> None:
        """Report the inputs and outputs that break the rules of the graph, with a walk for each."""
        parts: list[tuple[Mapping[str, Spec], Mapping[str, Spec]]] = []
        parts += [({alias: spec}, {}) for alias, spec in inputs.items()]
        parts += [({}, {alias: spec}) for alias, spec in outputs.items()]
        for some_inputs, some_outputs in parts:
            error = _refusal(
                rules.check_graph, self._subject.meta_graph, some_inputs, some_outputs, fed
            )
            if error is not None:
                unfed = isinstance(error, UnreachableOutputError)
                code = "unfed-placeholder" if unfed else "while-frame"
                # The hint of the rule is for a new signature; this one exists.
                option = f"smpatch edit --signature {quoted(self._key)} --add-input"
                hint = error.hint.replace("add --inputs", option)
                self._fault(code, error.where, error.found, hint, stops=unfed)


def _refusal(rule: Callable[..., object], *about: object) -> RefusedError | None:
    """Return the error that a rule raises for its arguments; None if it raises none."""
    try:
        rule(*about)
    except RefusedError as error:
        return error
    return None
