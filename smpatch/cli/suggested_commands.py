"""The command for each suggestion, quoted for a shell."""

from __future__ import annotations

import keyword
from pathlib import Path
from typing import TYPE_CHECKING

from smpatch.display import command_line, model_words
from smpatch.functions.inside import spelled
from smpatch.page.document import ARGUMENT, KEY
from smpatch.signature import DEFAULT_KEY

if TYPE_CHECKING:
    from smpatch.functions.inner_tensors import Inner
    from smpatch.loader import MetaGraph
    from smpatch.page.document import Form
    from smpatch.suggestions import Function, Output, Suggestions

_PLACE = "NEW"
"""The placeholder of a key that the user has to choose; the command works with it, too."""


class Commands:
    """The command for each suggestion."""

    def __init__(
        self, model: Path, tag_set: str | None, signature: str | None, meta_graph: MetaGraph
    ) -> None:
        """Take the values that all commands share.

        Args:
            model: The path of the model, as the user gave it.
            tag_set: The value of ``--tag-set``, if it was given.
            signature: The signature that has the inner tensors between its inputs and outputs.
            meta_graph: The MetaGraph.
        """
        self._signature = signature or ""
        self._model = model_words(model)
        self._end = [] if tag_set is None else ["--tag-set", tag_set]
        self._meta_graph = meta_graph
        self._taken = {*meta_graph.signatures, *meta_graph.reserved}
        self._taken.update(meta_graph.objects.signatures)
        self._alone: tuple[str, ...] = ()
        self._new = _PLACE
        while self._new in self._taken:
            self._new += "_"

    def all(self, found: Suggestions) -> dict[object, str]:
        """Return the commands of all suggestions; the key of a function is its name."""
        names = self.spelled(found)
        return {
            **{each: command_line(self.output(each)) for each in found.outputs},
            **{each.traced.function: command_line(self.function(each)) for each in found.functions},
            **{each: self.inner(names[each]) for each in found.inner},
        }

    def spelled(self, found: Suggestions) -> dict[Inner, str]:
        """Return the text for each inner tensor in a command."""
        if not found.inner:
            return {}
        return spelled(self._meta_graph, self._signature, found.inner, found.ambiguous)

    def leave_objects_alone(self) -> None:
        """Propose commands that do not change the object graph: its text form cannot be edited."""
        self._alone = ("--signature-def-only",)

    def output(self, each: Output) -> list[str]:
        """Return the words of the command for an output of the main graph."""
        inputs = ",".join(passable(spec.name) for spec in each.inputs)
        words = ("--inputs", inputs, "--outputs", each.spec.name)
        return self._edit(*self._key(DEFAULT_KEY), *words, *self._alone)

    def function(self, each: Function) -> list[str]:
        """Return the words of the command for a traced function."""
        renamed = [passable(name) for name in each.traced.inputs if passable(name) != name]
        inputs = ("--inputs", ",".join(renamed)) if renamed else ()
        return self._edit("--function", each.name, *self._key(each.traced.key), *inputs)

    def inner(self, name: str) -> str:
        """Return the command for an inner tensor, from the text of ``spelled``."""
        source = ("--from-signature", self._signature, "--signature", self._new)
        return command_line(self._edit(*source, "--outputs", name))

    @property
    def new_key(self) -> str:
        """A key that no signature has."""
        return self._new

    def adding(self, key: str) -> Form:
        """Return the words that make a signature from another one, with an inner tensor."""
        source = ("--from-signature", key, "--signature", KEY)
        return ("smpatch", "add-predict", *self._model, *source, "--outputs", ARGUMENT, *self._end)

    def extending(self, key: str) -> Form:
        """Return the words that add an inner tensor to a signature."""
        added = ("--signature", key, "--add-output", ARGUMENT)
        return ("smpatch", "edit", *self._model, *added, *self._end)

    def page(self, key: str) -> list[str]:
        """Return the words of the command that makes a page of a signature."""
        return self._line("suggest", "--signature", key, "--html", "page.html")

    def look_into(self, key: str) -> str:
        """Return the command that lists the inner tensors of a signature."""
        return command_line(self._line("suggest", "--signature", key))

    def _key(self, default: str) -> tuple[str, ...]:
        return ("--signature", self._new) if default in self._taken else ()

    def _edit(self, *words: str) -> list[str]:
        return self._line("add-predict", *words)

    def _line(self, command: str, *words: str) -> list[str]:
        return ["smpatch", command, *self._model, *words, *self._end]


def passable(name: str) -> str:
    """Return an input for the command line, with an alias that Python can pass."""
    alias = name.rpartition(":")[0] or name
    alias = alias.rpartition("/")[2]
    return f"{alias}_={name}" if keyword.iskeyword(alias) or alias == "self" else name
