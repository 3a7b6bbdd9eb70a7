"""Requests as frozen values: what is wanted of a model, before anything is known of it.

This module checks nothing against a model, and nothing here is done by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from smpatch.signature import DEFAULT_KEY, Shape, SignatureDef, Spec

__all__ = [
    "AddClassify",
    "AddPredict",
    "AddRegress",
    "AddSignature",
    "Copy",
    "Edit",
    "EditSignature",
    "FromSignature",
    "PromoteFunction",
    "RaggedRef",
    "Remove",
    "Rename",
    "Retag",
    "SparseRef",
    "TensorRef",
]


@dataclass(frozen=True, slots=True)
class SparseRef:
    """A sparse tensor by the names of its three dense ones.

    Attributes:
        values: Name of the values.
        indices: Name of the indices.
        dense_shape: Name of the dense shape.
    """

    values: str
    indices: str
    dense_shape: str


@dataclass(frozen=True, slots=True)
class RaggedRef:
    """A ragged tensor by the names of its dense ones.

    Attributes:
        values: Name of the flat values.
        row_splits: Names of the row splits, the outermost dimension's first.
    """

    values: str
    row_splits: tuple[str, ...]


TensorRef = str | SparseRef | RaggedRef | Spec
"""How a request names a tensor: by name, by the names of its parts, or by a whole spec,
whose dtype and shape then must agree with the graph."""


@dataclass(frozen=True, slots=True)
class AddPredict:
    """Add a predict signature.

    Attributes:
        inputs: Alias to the tensor that is fed.
        outputs: Alias to the tensor that is fetched.
        key: The signature key.
        overwrite: Whether a signature that has the key already may be replaced.
        without_inputs: Whether it is meant that nothing is fed, as with a function that
            takes nothing.
    """

    inputs: Mapping[str, TensorRef]
    outputs: Mapping[str, TensorRef]
    key: str = DEFAULT_KEY
    overwrite: bool = False
    without_inputs: bool = False


@dataclass(frozen=True, slots=True)
class PromoteFunction:
    """Make a signature of a function that was traced but not exported.

    Attributes:
        function: Its path in the object graph (``encoder.call``), or the name of a concrete
            function.
        inputs: Alias to argument; None for all arguments under their own names. Arguments
            that are left out keep their names.
        outputs: Alias to structured output; None for all under TensorFlow's names.
        key: The signature key; None for the last part of the path.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    function: str
    inputs: Mapping[str, str] | None = None
    outputs: Mapping[str, str] | None = None
    key: str | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class FromSignature:
    """Make a signature from another one, with other outputs.

    Attributes:
        source: The key of the signature to start from; its inputs are kept.
        outputs: Alias to one of its outputs (by alias), a tensor of the main graph, or an
            inner tensor of the functions that it calls (``node:index``, with ``@call+call``
            behind it where that is ambiguous).
        key: The signature key.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    source: str
    outputs: Mapping[str, str]
    key: str
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class AddClassify:
    """Add a classify signature, as TF Serving's Classify takes it.

    Attributes:
        examples: The tensor of serialized ``tf.train.Example`` messages, a string.
        classes: The tensor of class labels, a string; None when only scores are served.
        scores: The tensor of scores, a float32; None when only classes are served.
        key: The signature key.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    examples: TensorRef
    classes: TensorRef | None = None
    scores: TensorRef | None = None
    key: str = DEFAULT_KEY
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class AddRegress:
    """Add a regress signature, as TF Serving's Regress takes it.

    Attributes:
        examples: The tensor of serialized ``tf.train.Example`` messages, a string.
        predictions: The tensor of predictions, a float32.
        key: The signature key.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    examples: TensorRef
    predictions: TensorRef
    key: str = DEFAULT_KEY
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class AddSignature:
    """Add a signature that is known as a whole, such as that of another export.

    Attributes:
        signature: The signature; its tensors must be in the graph as it describes them.
        key: The signature key.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    signature: SignatureDef
    key: str
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Rename:
    """Give a signature another key.

    Attributes:
        source: The key that it has.
        target: The key that it gets.
        overwrite: Whether a signature that has that key already may be replaced.
    """

    source: str
    target: str
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """Serve a signature under a second key.

    Attributes:
        source: The key that it has.
        target: The key that it gets as well.
        overwrite: Whether a signature that has that key already may be replaced.
    """

    source: str
    target: str
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Remove:
    """Take signatures away, with what was appended for them alone.

    Attributes:
        keys: Keys, or patterns of them (``*``, ``?``, ``[...]``) as file names have them.
    """

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EditSignature:
    """Change a signature that is there, all at once.

    Names on the left and in the tuples are aliases as they are before the edit; those in
    ``shapes`` and ``defaults`` are aliases as they are after it.

    Attributes:
        key: The signature key.
        rename_inputs: Old alias to new one.
        rename_outputs: Old alias to new one.
        drop_inputs: Inputs that are no longer fed.
        drop_outputs: Outputs that are no longer fetched.
        add_inputs: Alias to a tensor of the main graph.
        add_outputs: Alias to a tensor of the main graph, or inside the functions that the
            signature calls.
        shapes: Alias to the shape that the signature promises; an alias that is an input and
            an output is written ``inputs.x`` or ``outputs.x``.
        method_name: The method, ``tensorflow/serving/predict`` or another; None keeps it.
        defaults: Alias of an input to what it is where a request leaves it out: a number, a
            string, a truth value, or nested lists of these; None takes a default away.
    """

    key: str
    rename_inputs: Mapping[str, str] = field(default_factory=dict)
    rename_outputs: Mapping[str, str] = field(default_factory=dict)
    drop_inputs: tuple[str, ...] = ()
    drop_outputs: tuple[str, ...] = ()
    add_inputs: Mapping[str, TensorRef] = field(default_factory=dict)
    add_outputs: Mapping[str, TensorRef] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    method_name: str | None = None
    defaults: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retag:
    """Give a MetaGraph other tags.

    Attributes:
        source: The tags that it has, or its place among the MetaGraphs, from 0.
        target: The tags that it gets.
    """

    source: tuple[str, ...] | int
    target: tuple[str, ...]


Edit = (
    AddPredict
    | AddClassify
    | AddRegress
    | AddSignature
    | PromoteFunction
    | FromSignature
    | Rename
    | Copy
    | Remove
    | EditSignature
    | Retag
)
"""Anything that can be asked of a model; a list of them is done in one commit."""
