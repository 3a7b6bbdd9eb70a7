"""Requests as frozen values: what is wanted of a model, before anything is known of it.

This module checks nothing against a model, and nothing here is done by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from smpatch import arguments
from smpatch.arguments import Constant
from smpatch.errors import UsageError
from smpatch.fragments import Asked, asked_list
from smpatch.signature import DEFAULT_KEY, Shape, SignatureDef
from smpatch.tensor_refs import RaggedRef, SparseRef, TensorRef, tensor_ref, tensor_refs

__all__ = [
    "AddClassify",
    "AddPredict",
    "AddRegress",
    "AddSignature",
    "Compose",
    "Copy",
    "Edit",
    "EditSignature",
    "FromSignature",
    "Making",
    "PromoteFunction",
    "RaggedRef",
    "Remove",
    "RemoveMetaGraph",
    "Rename",
    "Retag",
    "SetInitOp",
    "SparseRef",
    "TensorRef",
    "tensor_ref",
]


@dataclass(frozen=True, slots=True)
class Edit:
    """Base of all edits: anything that can be asked of a model.

    A list of edits is done in one commit.
    """


class Making(Edit):
    """Base of the edits that make a signature.

    Attributes:
        key: The signature key; None where the model gives it.
        overwrite: Whether a signature that has the key already may be replaced.
    """

    __slots__ = ()
    key: str | None
    overwrite: bool


def _names(value: object, where: str) -> dict[str, str]:
    given = arguments.mapping(value, where)
    for alias, each in given.items():
        if not isinstance(each, str):
            found = f"{each!r} ({type(each).__name__}) is given"
            raise UsageError(found, where=f"{where} {alias!r}", hint="give a name")
    return given


def _text(value: object, where: str) -> None:
    if not isinstance(value, str):
        found = f"{value!r} ({type(value).__name__}) is given"
        raise UsageError(found, where=where, hint="give a text")


def _take(edit: object, **fields: object) -> None:
    """Set fields of a frozen edit."""
    for name, value in fields.items():
        object.__setattr__(edit, name, value)


@dataclass(frozen=True, slots=True)
class AddPredict(Making):
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

    def __post_init__(self) -> None:
        """Take values of other forms, as ``arguments`` describes them."""
        _text(self.key, "the signature key")
        _take(
            self,
            inputs=tensor_refs(self.inputs, "input"),
            outputs=tensor_refs(self.outputs, "output"),
        )


@dataclass(frozen=True, slots=True)
class PromoteFunction(Making):
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

    def __post_init__(self) -> None:
        """Take values of other forms, as ``arguments`` describes them."""
        _text(self.function, "the function")
        for name in ("inputs", "outputs"):
            given = getattr(self, name)
            if given is not None:
                _take(self, **{name: _names(given, name.removesuffix("s"))})


@dataclass(frozen=True, slots=True)
class FromSignature(Making):
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

    def __post_init__(self) -> None:
        """Take values of other forms, as ``arguments`` describes them."""
        _text(self.source, "the signature key")
        _text(self.key, "the signature key")
        _take(self, outputs=_names(self.outputs, "output"))


@dataclass(frozen=True, slots=True)
class Compose(Making):
    """Make a signature of another one: with functions before and behind it, and constants.

    Attributes:
        source: The key of the signature to start from.
        key: The signature key.
        bind: Input of the source to its value; it is no input of the new signature.
        overwrite: Whether a signature that has the key already may be replaced.
        before: The functions that yield inputs of the source, in the order in which they run.
        after: The functions that take outputs of the source, in the order in which they run.
    """

    source: str
    key: str
    bind: Mapping[str, Constant] = field(default_factory=dict)
    overwrite: bool = False
    before: tuple[Asked, ...] = ()
    after: tuple[Asked, ...] = ()

    def __post_init__(self) -> None:
        """Take values of other forms, as ``arguments`` describes them."""
        _text(self.source, "the signature key")
        _text(self.key, "the signature key")
        _take(
            self,
            bind=arguments.constants(self.bind, "bind"),
            before=asked_list(self.before, "before"),
            after=asked_list(self.after, "after"),
        )


@dataclass(frozen=True, slots=True)
class AddClassify(Making):
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

    def __post_init__(self) -> None:
        """Take values of other forms, as ``arguments`` describes them."""
        _text(self.key, "the signature key")
        for name in ("examples", "classes", "scores"):
            given = getattr(self, name)
            if given is not None or name == "examples":
                _take(self, **{name: tensor_ref(given, name)})


@dataclass(frozen=True, slots=True)
class AddRegress(Making):
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

    def __post_init__(self) -> None:
        """Take values of other forms, as ``arguments`` describes them."""
        _text(self.key, "the signature key")
        for name in ("examples", "predictions"):
            _take(self, **{name: tensor_ref(getattr(self, name), name)})


@dataclass(frozen=True, slots=True)
class AddSignature(Making):
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
class Rename(Edit):
    """Give a signature another key.

    Attributes:
        source: The key that it has.
        target: The key that it gets.
        overwrite: Whether a signature that has that key already may be replaced.
    """

    source: str
    target: str
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Take values of other forms, as ``arguments`` describes them."""
        _text(self.source, "the key that it has")
        _text(self.target, "the key that it gets")


@dataclass(frozen=True, slots=True)
class Copy(Edit):
    """Serve a signature under a second key.

    Attributes:
        source: The key that it has.
        target: The key that it gets as well.
        overwrite: Whether a signature that has that key already may be replaced.
    """

    source: str
    target: str
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Take values of other forms, as ``arguments`` describes them."""
        _text(self.source, "the key that it has")
        _text(self.target, "the key that it gets")


@dataclass(frozen=True, slots=True)
class Remove(Edit):
    """Take signatures away, with what was appended for them alone.

    Attributes:
        keys: Keys, or patterns of them (``*``, ``?``, ``[...]``) as file names have them.
    """

    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        """Take values of other forms, as ``arguments`` describes them."""
        _take(self, keys=arguments.texts(self.keys, "keys"))


@dataclass(frozen=True, slots=True)
class RemoveMetaGraph(Edit):
    """Take a whole MetaGraph away; the others of the model stay as they are.

    No edit of another kind stands in the same list.

    Attributes:
        tag_set: The tags that it has.
    """

    tag_set: tuple[str, ...]

    def __post_init__(self) -> None:
        """Take values of other forms, as ``arguments`` describes them."""
        _take(self, tag_set=arguments.texts(self.tag_set, "tag_set"))


@dataclass(frozen=True, slots=True)
class EditSignature(Edit):
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

    Example:
        >>> edit = smpatch.EditSignature("serving_default", shapes={"x": [-1, 224, 224, 3]})
        >>> edit.shapes["x"]
        (None, 224, 224, 3)
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

    def __post_init__(self) -> None:
        """Take values of other forms, as ``arguments`` describes them."""
        _text(self.key, "the signature key")
        for name in ("rename_inputs", "rename_outputs"):
            _take(self, **{name: _names(getattr(self, name), name)})
        for name in ("drop_inputs", "drop_outputs"):
            _take(self, **{name: arguments.texts(getattr(self, name), name)})
        for name in ("add_inputs", "add_outputs"):
            _take(self, **{name: tensor_refs(getattr(self, name), name)})
        shapes = arguments.mapping(self.shapes, "shapes")
        defaults = arguments.mapping(self.defaults, "defaults")
        if self.method_name is not None:
            _text(self.method_name, "method_name")
        _take(
            self,
            shapes={
                alias: arguments.shape(each, f"shape of {alias!r}")
                for alias, each in shapes.items()
            },
            defaults={alias: arguments.plain_value(each) for alias, each in defaults.items()},
        )


@dataclass(frozen=True, slots=True)
class Retag(Edit):
    """Give a MetaGraph other tags.

    Attributes:
        source: The tags that it has, or its place among the MetaGraphs, from 0.
        target: The tags that it gets.
    """

    source: tuple[str, ...] | int
    target: tuple[str, ...]

    def __post_init__(self) -> None:
        """Take values of other forms, as ``arguments`` describes them."""
        if not isinstance(self.source, int):
            _take(self, source=arguments.texts(self.source, "the tags that it has"))
        _take(self, target=arguments.texts(self.target, "the tags that it gets"))


@dataclass(frozen=True, slots=True)
class SetInitOp(Edit):
    """Set the init op: what servers run when they load the model, such as to fill tables.

    Attributes:
        operations: Names of operations of the main graph; of several all are run. None of them
            takes the init op away.
    """

    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        """Take values of other forms, as ``arguments`` describes them."""
        _take(self, operations=arguments.texts(self.operations, "the init op"))
