"""The edits of copies of the old models, and the expected results.

A case has its commands as a user types them. ``MODEL`` is the copy, ``GRAPH`` is the file of a
frozen graph, and ``PLAIN`` is the model as it was written. ``%(key.alias)s`` is the tensor that a
signature had for an alias when the model was written; its name differs among the releases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["CASES", "PREDICT", "Call", "Case"]

PREDICT = "tensorflow/serving/predict"


@dataclass(frozen=True)
class Call:
    """The expected form of a signature.

    Attributes:
        inputs: Alias to the name of the value to feed.
        outputs: Alias to the name of the expected value.
        method: The method name.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    method: str = PREDICT


@dataclass(frozen=True)
class Case:
    """Edits of one model.

    Attributes:
        name: A short description of the edits.
        models: The models to edit, each on its own.
        commands: The edits, in order.
        after: The signatures that differ from those before; None for a removed one.
        tags: The tags after the edits; empty if they stay.
    """

    name: str
    models: tuple[str, ...]
    commands: tuple[str, ...]
    after: Mapping[str, Call | None] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


_AB = {"a": "a", "b": "b"}
_MIXING = Call(_AB, {"gap": "gap", "hidden": "hidden"})
_GRAPHS = ("builder", "text", "stripped")
_MIXTURES = (*_GRAPHS, "module")
_PLAINEST = ("builder", "module")
_NETWORKS = ("keras", "trained")
_SIDES = {"left": "left", "right": "right"}
_HEADS = {"both": "both", "score": "score"}

CASES = (
    Case(
        "add of tensors",
        _GRAPHS,
        ("add-predict MODEL --inputs a:0,b:0 --outputs z=gap:0,y=mix:0,x=hidden:0",),
        {"serving_default": Call(_AB, {"z": "gap", "y": "mix", "x": "hidden"})},
    ),
    Case(
        "add of tensors of an export with objects",
        ("module",),
        (
            (
                "add-predict MODEL --inputs q=%(mixing.a)s,p=%(mixing.b)s"
                " --outputs z=%(mixing.gap)s,y=%(mixing.hidden)s"
            ),
        ),
        {"serving_default": Call({"q": "a", "p": "b"}, {"z": "gap", "y": "hidden"})},
    ),
    Case(
        "names that sort the other way round",
        _MIXTURES,
        ("edit MODEL --signature mixing --rename-input a=z --rename-output gap=z",),
        {"mixing": Call({"z": "a", "b": "b"}, {"z": "gap", "hidden": "hidden"})},
    ),
    Case(
        "names exchanged",
        ("module",),
        (
            (
                "edit MODEL --signature mixing --rename-input a=b,b=a"
                " --rename-output gap=hidden,hidden=gap"
            ),
        ),
        {"mixing": Call({"b": "a", "a": "b"}, {"hidden": "gap", "gap": "hidden"})},
    ),
    Case(
        "an output less, a shape, a method",
        _PLAINEST,
        ("edit MODEL --signature mixing --drop-output gap --shape a=2,2 --method mine",),
        {"mixing": Call(_AB, {"hidden": "hidden"}, method="mine")},
    ),
    Case(
        "keys",
        _PLAINEST,
        (
            "copy MODEL --from mixing --to second",
            "edit MODEL --signature second --rename-output gap=z",
            "copy MODEL --from mixing --to third",
            "rename MODEL --from mixing --to serving_default",
            "remove MODEL --signature third",
        ),
        {
            "mixing": None,
            "second": Call(_AB, {"z": "gap", "hidden": "hidden"}),
            "serving_default": _MIXING,
        },
    ),
    Case(
        "a default",
        _PLAINEST,
        ("edit MODEL --signature mixing --default 'b=[[1, 2]]' --validate full",),
    ),
    Case(
        "tags",
        ("builder",),
        ("retag MODEL --from serve --to serve,elsewhere",),
        tags=("serve", "elsewhere"),
    ),
    Case(
        "tags of one graph of two",
        ("stripped",),
        ("retag MODEL --from serve,old --to new",),
        tags=("new",),
    ),
    Case(
        "signatures taken over",
        ("text",),
        ("remove MODEL --signature mixing", "copy-signatures MODEL --from-model PLAIN"),
    ),
    Case(
        "control flow",
        ("simple",),
        ("add-predict MODEL --signature both --inputs x --outputs z=chosen,y=grown",),
        {"both": Call({"x": "x"}, {"z": "chosen", "y": "grown"})},
    ),
    Case(
        "examples and a table",
        ("lookup",),
        (
            (
                "add-classify MODEL --signature by_class"
                " --examples examples --classes label --scores score"
            ),
            "add-regress MODEL --signature by_value --examples examples --predictions score",
            "rename MODEL --from places --to serving_default",
        ),
        {
            "by_class": Call(
                {"inputs": "examples"},
                {"classes": "label", "scores": "score"},
                "tensorflow/serving/classify",
            ),
            "by_value": Call(
                {"inputs": "examples"}, {"outputs": "score"}, "tensorflow/serving/regress"
            ),
            "places": None,
            "serving_default": Call({"word": "word"}, {"place": "place"}),
        },
    ),
    Case(
        "a frozen graph",
        ("frozen",),
        ("wrap GRAPH --save-to MODEL --inputs z=a:0,y=b:0 --outputs z=gap:0,y=hidden:0",),
        {"serving_default": Call({"z": "a", "y": "b"}, {"z": "gap", "y": "hidden"})},
    ),
    Case(
        "a traced function",
        ("module",),
        ("add-predict MODEL --function encode",),
        {"encode": Call(_AB, {"grown": "grown", "blended": "blended"})},
    ),
    Case(
        "a traced function under other names",
        ("module",),
        (
            (
                "add-predict MODEL --function encode --signature serving_default"
                " --inputs z=a,y=b --outputs z=blended,y=grown"
            ),
        ),
        {"serving_default": Call({"z": "a", "y": "b"}, {"z": "blended", "y": "grown"})},
    ),
    Case(
        "a traced function with a table",
        ("table",),
        ("add-predict MODEL --function after", "rename MODEL --from places --to serving_default"),
        {
            "after": Call({"word": "word"}, {"after": "after"}),
            "places": None,
            "serving_default": Call({"word": "word"}, {"place": "place"}),
        },
    ),
    Case(
        "an inner tensor",
        ("module",),
        (("add-predict MODEL --from-signature mixing --signature inner --outputs z=gap,y=mix:0"),),
        {"inner": Call(_AB, {"z": "gap", "y": "mix"})},
    ),
    Case(
        "an inner tensor in addition",
        ("module",),
        ("edit MODEL --signature mixing --add-output first=mix:0",),
        {"mixing": Call(_AB, {"first": "mix", "gap": "gap", "hidden": "hidden"})},
    ),
    Case(
        "a layer",
        _NETWORKS,
        (
            (
                "add-predict MODEL --from-signature serving_default --signature embedding"
                " --outputs z=network/first/Relu:0,y=score"
            ),
        ),
        {"embedding": Call(_SIDES, {"z": "first", "y": "score"})},
    ),
    Case(
        "heads and inputs that sort the other way round",
        _NETWORKS,
        (
            "copy MODEL --from serving_default --to plain",
            (
                "edit MODEL --signature serving_default"
                " --rename-input left=z --rename-output both=z,score=y"
            ),
        ),
        {
            "plain": Call(_SIDES, _HEADS),
            "serving_default": Call({"z": "left", "right": "right"}, {"z": "both", "y": "score"}),
        },
    ),
    Case(
        "added and removed",
        ("trained",),
        (
            "copy MODEL --from serving_default --to other",
            "edit MODEL --signature other --add-output deep=network/first/Relu:0",
            "remove MODEL --signature other",
        ),
    ),
)
