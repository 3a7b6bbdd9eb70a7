"""The bodies whose nodes have fingerprints, and the values that a walk through them keeps.

A body is the main graph or a function. A node is split into the parts that count for its
computation. An input has two notations: ``op:index`` in the main graph and ``node:arg:index`` in a
function. Here both become a node and the number of its output.

This module computes no fingerprint of more than one node.

Source: ``tensorflow/core/framework/function.cc`` (names of tensors in a function body).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from smpatch.errors import SmpatchError
from smpatch.graph.functions import FunctionLibrary
from smpatch.graph.index import CALLS, GraphIndex

_IGNORED = frozenset(
    {
        "_class",  # puts a node on the device of another one
        "_output_shapes",  # only describes
        "_user_specified_name",  # only describes
        "frame_name",  # distinguishes loops of one graph; the edges do this, too
    }
)
"""Attributes that do not change what a node computes."""

_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2"})
_SOURCES = frozenset({"Const", "VarHandleOp", "VariableV2", "Variable"})
"""Operations without an effect: a control input from one of them makes no node wait."""

_ANONYMOUS = b"cd2c89b7-88b7-44c8-ad83-06c2a9158347"
"""The ``shared_name`` of a resource that has no name (``ResourceHandle::ANONYMOUS_NAME``)."""

_COMPILED = "_XlaMustCompile"


_INDEX = re.compile(r"[0-9]{1,10}")
"""An output's number: ten digits, as 32 bits need; Python reads no thousands of digits."""


class FingerprintError(SmpatchError):
    """A fingerprint cannot be computed: the graph refers to something that is missing."""


class Source(NamedTuple):
    """The source of an input of a node: a node and one of its outputs, or a leaf."""

    node: str
    port: int | str
    leaf: str = ""


class Parts(NamedTuple):
    """The parts of a node that count for its fingerprint.

    Attributes:
        op: The operation.
        inputs: Its data inputs, in their order.
        controls: The nodes that it waits for.
        attributes: The digest of the attributes that count; of a call, of those for its function.
        functions: The names of functions in other attributes, in the order of these.
        identity: The name of a node without inputs, if it distinguishes the node; else empty.
        is_source: Whether it is a constant or the handle of a resource; then no node waits for it.
        has_effects: Whether two equal nodes are not one (``FunctionLibrary.has_effects``).
        function: The function that a call calls; empty in other nodes.
        is_compiled: Whether XLA must compile that function.
    """

    op: str
    inputs: tuple[Source, ...]
    controls: tuple[str, ...]
    attributes: bytes = b""
    functions: tuple[str, ...] = ()
    identity: str = ""
    is_source: bool = False
    has_effects: bool = False
    function: str = ""
    is_compiled: bool = False


class Body(Protocol):
    """The nodes of the main graph or of a function."""

    def parts(self, name: str) -> Parts:
        """Return the parts of a node."""


class MainBody:
    """The main graph."""

    def __init__(
        self,
        graph: GraphIndex,
        library: FunctionLibrary,
        known: dict[str, Parts],
        feeds: frozenset[str],
    ) -> None:
        """Keep a graph in which tensors are fed.

        Args:
            graph: The main graph.
            library: Its functions.
            known: The parts of nodes that are known, by name; ``parts`` adds to them.
            feeds: Full names (``op:index``) of the tensors that are fed.
        """
        self._graph = graph
        self._library = library
        self._known = known
        self._fed = frozenset(name.rpartition(":")[0] for name in feeds)

    def parts(self, name: str) -> Parts:
        """Return the parts of a node.

        Raises:
            FingerprintError: There is no such node.
        """
        parts = self._known.get(name)
        if parts is None:
            if name not in self._graph:
                raise FingerprintError(f"the graph refers to a node {name!r} that it does not have")
            node = self._graph.node(name).message()
            sources = [main_source(each) for each in node.input if not each.startswith("^")]
            parts = _taken_apart(node, sources, self._library)
            self._known[name] = parts
        controls = tuple(each for each in parts.controls if not self._is_fed(each))
        return parts if controls == parts.controls else parts._replace(controls=controls)

    def _is_fed(self, name: str) -> bool:
        """Return whether a node is a fed placeholder; then no node has to wait for it."""
        return name in self._fed and self._graph.wiring(name).op in _PLACEHOLDERS


class FunctionBody:
    """The body of a function."""

    def __init__(self, name: str, library: FunctionLibrary) -> None:
        """Read a function of the library.

        Raises:
            FingerprintError: A result has no tensor, or names an output that its node lacks.
        """
        self._name = name
        self._library = library
        definition = library[name]
        self._nodes = {node.name: node for node in definition.node_def}
        self._parts: dict[str, Parts] = {}
        self._ports: dict[str, dict[tuple[str, int], int] | None] = {}
        signature = definition.signature
        self.arguments = tuple(str(arg.name) for arg in signature.input_arg)
        self._names = frozenset(self.arguments)
        self.result_count = len(signature.output_arg)
        self.is_compiled = _is_compiled(definition.attr)
        missing = [arg.name for arg in signature.output_arg if arg.name not in definition.ret]
        if missing:
            raise FingerprintError(f"the function {name!r} has no result {missing[0]!r}")
        self.results = tuple(self._source(definition.ret[arg.name]) for arg in signature.output_arg)
        self.control_results = tuple(sorted(set(definition.control_ret.values())))

    def parts(self, name: str) -> Parts:
        """Return the parts of a node.

        Raises:
            FingerprintError: There is no such node.
        """
        parts = self._parts.get(name)
        if parts is None:
            node = self._nodes.get(name)
            if node is None:
                found = f"the function {self._name!r} refers to a node {name!r}"
                raise FingerprintError(f"{found} that it does not have")
            sources = [self._source(each) for each in node.input if not each.startswith("^")]
            parts = _taken_apart(node, sources, self._library)
            # Arguments exist before the call begins.
            controls = tuple(each for each in parts.controls if each not in self._names)
            parts = parts._replace(controls=controls)
            self._parts[name] = parts
        return parts

    def _source(self, name: str) -> Source:
        """Return the source that ``argument`` or ``node:arg:index`` names."""
        node, colon, rest = name.partition(":")
        if not colon:
            return Source(node, 0, node)
        arg, _, index = rest.partition(":")
        ports = self._ports_of(node)
        if ports is None:
            # Early exports do not define the operations of functions. A call needs no definition.
            is_call = node in self._nodes and self._nodes[node].op in CALLS
            return Source(node, int(index) if is_call and _INDEX.fullmatch(index) else rest)
        port = ports.get((arg, int(index or 0))) if _INDEX.fullmatch(index or "0") else None
        if port is None:
            raise FingerprintError(f"in the function {self._name!r} there is no tensor {name!r}")
        return Source(node, port)

    def _ports_of(self, name: str) -> dict[tuple[str, int], int] | None:
        """Return the number of each output of a node; None if its operation is not defined."""
        if name not in self._ports:
            node = self._nodes.get(name)
            found = None if node is None else self._library.outputs(node)
            self._ports[name] = (
                None
                if found is None
                else {(each.arg, each.index): place for place, each in enumerate(found)}
            )
        return self._ports[name]


@dataclass(frozen=True, slots=True)
class Computation:
    """The computation of a set of tensors.

    Attributes:
        outputs: The fingerprints of the outputs, by label.
        effects: The fingerprints of the nodes with effects that run, such as assignments; each run
            of equal nodes has its own.
    """

    outputs: Mapping[str, bytes]
    effects: frozenset[bytes]


InnerFeeds = dict[tuple[tuple[str, ...], str], bytes]
"""The fingerprints of the values of fed tensors inside functions. The key of a tensor has the call
nodes that lead to it, and its name there (``node:index``)."""


InnerTensor = tuple[Sequence[str], str]
"""A tensor inside functions: the call nodes that lead to it, the main graph's first, and its name
there (``node:index``)."""


class Value(NamedTuple):
    """The outputs of a node.

    Attributes:
        digest: The fingerprint of the node; its outputs differ by their number.
        results: The fingerprints of the outputs, if the node is a call; else None.
        effects: The fingerprints of the effects for which a control edge from the node waits.
    """

    digest: bytes
    results: tuple[bytes, ...] | None
    effects: frozenset[bytes]

    def output(self, port: int | str) -> bytes:
        """Return the fingerprint of an output."""
        if self.results is None:
            return self.digest + b":%s" % str(port).encode()
        if not isinstance(port, int) or port >= len(self.results):
            raise FingerprintError(f"a call has no result {port}")
        return self.results[port]


@dataclass(slots=True)
class Scope:
    """One body, with its leaves and the results of the walk.

    Attributes:
        body: The nodes.
        leaves: The fingerprints of the leaves, by name.
        values: The values of the nodes that the walk has computed, by name.
        ran: The fingerprints of the nodes with effects that run, by node: by a call, those in the
            called function.
        awaited: Those of all nodes with a state that run, also of nodes that only read.
        asked: The tensors inside functions whose fingerprints are asked for, by call node.
        called: The scopes of the functions that calls in this body call, by call node.
        placed: The fingerprints of the fed tensors, by node and output.
        inside: The tensors that are fed inside the functions of calls, by call node.
        taken: The places of the arguments that these calls still need, by call node.
        lost: Nodes that only fed tensors need; no node waits for them.
    """

    body: Body
    leaves: Mapping[str, bytes]
    values: dict[str, Value] = field(default_factory=dict)
    ran: dict[str, Collection[bytes]] = field(default_factory=dict)
    awaited: set[bytes] = field(default_factory=set)
    asked: dict[str, list[InnerTensor]] = field(default_factory=dict)
    called: dict[str, Scope] = field(default_factory=dict)
    placed: dict[tuple[str, int | str], bytes] = field(default_factory=dict)
    inside: dict[str, InnerFeeds] = field(default_factory=dict)
    taken: dict[str, frozenset[int]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    @property
    def effects(self) -> frozenset[bytes]:
        """The fingerprints of the nodes with effects that run, in called functions too."""
        return self.effects_of(self.ran)

    def effects_of(self, nodes: Iterable[str]) -> frozenset[bytes]:
        """Return those of some nodes."""
        return frozenset(each for name in nodes for each in self.ran.get(name, ()))

    def controls(self, parts: Parts) -> list[str]:
        """Return the nodes that a node waits for."""
        return [each for each in parts.controls if each not in self.lost]

    def leaf(self, source: Source) -> bytes | None:
        """Return the fingerprint of an input of a node if it is a leaf; else None."""
        found = self.leaves.get(source.leaf) if source.leaf else None
        return self.placed.get(source[:2]) if found is None and self.placed else found

    def value(self, source: Source) -> bytes:
        """Return the fingerprint of an input of a node whose source is computed."""
        leaf = self.leaf(source)
        return leaf if leaf is not None else self.values[source.node].output(source.port)

    def waits(self, parts: Parts) -> frozenset[bytes]:
        """Return the fingerprints of the effects for which a node waits."""
        waits: set[bytes] = set()
        for each in self.controls(parts):
            waits |= self.values[each].effects
        return frozenset(waits)

    def inputs(self, name: str, parts: Parts) -> list[Source]:
        """Return the data inputs of a node that are needed."""
        taken = self.taken.get(name)
        return [each for n, each in enumerate(parts.inputs) if taken is None or n in taken]


def _taken_apart(node: Any, sources: Iterable[Source], library: FunctionLibrary) -> Parts:  # noqa: ANN401 - a NodeDef; protobuf makes the class at run time
    op = str(node.op)
    inputs = tuple(sources)
    controls = tuple(each[1:] for each in node.input if each.startswith("^"))
    called = str(node.attr["f"].func.name) if op in CALLS and "f" in node.attr else op
    if op in CALLS or called in library:
        is_compiled = _is_compiled(node.attr)
        given = _given(node, library, called)
        counts = library.has_effects(op)
        return Parts(
            op,
            inputs,
            controls,
            given,
            has_effects=counts,
            function=called,
            is_compiled=is_compiled,
        )
    functions: list[str] = []
    digests: list[bytes] = []
    # The shape of a placeholder with a default only limits the values that may be fed.
    ignored = _IGNORED | {"shape"} if op == "PlaceholderWithDefault" else _IGNORED
    for key in sorted(node.attr.keys() - ignored):
        value = node.attr[key]
        value, named = _nameless(value)
        functions += named
        digests += [key.encode(), value.SerializeToString(deterministic=True)]
    identity = "" if inputs else _identity(node, library)
    is_handle = _is_source(node, library)
    return Parts(
        op,
        inputs,
        controls,
        digest(*digests),
        tuple(functions),
        identity,
        is_source=is_handle and not node.input,
        has_effects=not is_handle and library.has_effects(op),
    )


def _given(node: Any, library: FunctionLibrary, called: str) -> bytes:  # noqa: ANN401 - as above
    """Return the digest of the attributes that a call gives a function; empty if it takes none."""
    taken = (
        sorted(each.name for each in library[called].signature.attr) if called in library else ()
    )
    of = node.attr["f"].func.attr if "f" in node.attr and called != node.op else node.attr
    values = [(key, of[key].SerializeToString(deterministic=True)) for key in taken if key in of]
    if any(_nameless(of[key])[1] for key in taken if key in of):
        raise FingerprintError(f"a call gives functions to the function {called!r}")
    return (
        digest(*(part for key, value in values for part in (key.encode(), value)))
        if values
        else b""
    )


def with_given(call: Parts, result: bytes) -> bytes:
    """Return the fingerprint of a result of a call, with the attributes that the call gives."""
    return digest(b"with", call.attributes, result) if call.attributes else result


def _identity(node: Any, library: FunctionLibrary) -> str:  # noqa: ANN401 - as above
    """Return the name of a node without inputs if it distinguishes the node; else nothing.

    It does so if the node has a state, is a placeholder, or has an operation that is not defined.
    A name that several nodes may share (``shared_name``) is among the attributes.
    """
    if node.op == "Const" or ("shared_name" in node.attr and node.attr["shared_name"].s):
        return ""
    op_def = library.op_def(node.op)
    is_stateless = op_def is not None and not op_def.is_stateful and node.op not in _PLACEHOLDERS
    return "" if is_stateless else str(node.name)


def _is_source(node: Any, library: FunctionLibrary) -> bool:  # noqa: ANN401 - as above
    """Return whether a node is a constant or the handle of a named resource."""
    shared = node.attr["shared_name"].s if "shared_name" in node.attr else b""
    if node.op.startswith("Anonymous") or shared == _ANONYMOUS:
        return False  # each run makes a resource
    if not shared and any(not each.startswith("^") for each in node.input):
        return False  # such as StackV2
    if node.op in _SOURCES:
        return True
    yielded = library.outputs(node) or []
    return bool(yielded) and all(each.dtype == "resource" for each in yielded)


def _nameless(value: Any) -> tuple[Any, list[str]]:  # noqa: ANN401 - an AttrValue
    """Return an attribute without the names of the functions in it, and these names."""
    if not (value.func.name or value.list.func):
        return value, []
    copy = type(value)()
    copy.CopyFrom(value)
    names: list[str] = []
    waiting = [copy]
    while waiting:
        each = waiting.pop()
        for func in [each.func] if each.WhichOneof("value") == "func" else each.list.func:
            names.append(str(func.name))
            func.name = ""
            waiting += [func.attr[key] for key in sorted(func.attr)]  # it may take functions
    return copy, names


def _is_compiled(attributes_of: Any) -> bool:  # noqa: ANN401 - a map of AttrValue
    return _COMPILED in attributes_of and bool(attributes_of[_COMPILED].b)


def main_source(name: str) -> Source:
    """Return the source that ``op:index`` or ``op`` names in the main graph."""
    op, colon, index = name.rpartition(":")
    if not colon:
        return Source(name, 0, f"{name}:0")
    return Source(op, int(index) if _INDEX.fullmatch(index) else index, name)


def digest(*parts: bytes) -> bytes:
    """Return a digest of a sequence; each part is preceded by its length."""
    return hashlib.blake2b(
        b"".join(b"%d:%b" % (len(part), part) for part in parts), digest_size=20
    ).digest()
