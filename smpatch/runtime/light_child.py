"""TensorFlow's Python loader with the modules that it needs itself, and no others.

``import tensorflow`` brings in almost three thousand modules;
``tensorflow.python.saved_model.load``, which is ``tf.saved_model.load``, needs a thousand of
them. This program puts an empty package
``tensorflow`` in their place. It loads a model by the same code. A refusal may come from a
module that is missing, so that the parent then asks ``python_child``.
Recipes are traced here as well: the modules that they need are among these thousand.
Code that asks the empty package for more than a module makes every answer a refusal, too.

Standard library and TensorFlow only; ``child_main.py`` loads this file in a child process.

Sources: ``tensorflow/__init__.py``, ``tensorflow/python/compat/v2_compat.py`` and
``tensorflow/python/util/tf_export.py``.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import os
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any

from .python_child import PythonLoader
from .refusals import Unfit

# The directories from which ``import tensorflow`` loads devices of others, and its own kernels.
PLUGINS = "tensorflow-plugins"
KERNELS = ("core", "kernels")


def start(request: dict[str, Any]) -> LightLoader:
    """Import the loader from the path that the first request gives.

    Raises:
        Unfit: This TensorFlow is built otherwise.
    """
    sys.path[:] = request["path"]
    root: str = request["root"]
    for place in (os.path.join(each, PLUGINS) for each in sys.path):
        if os.path.exists(place):
            raise Unfit(f"{place} is loaded with all of TensorFlow")
    package = Package(root)
    sys.modules[package.__name__] = package
    sys.meta_path.append(package)  # a module that is a finder, too
    try:
        with quick_imports():
            tf = needed()
            load_kernels(os.path.join(root, *KERNELS))
    except Exception as error:  # a layout that is not known raises anything
        raise Unfit(f"{type(error).__name__}: {error}") from error
    return LightLoader(tf, package)


def load_kernels(directory: str) -> None:
    """Load the kernels that releases such as 2.16 have in libraries of their own."""
    if os.path.exists(directory):
        # Not of the empty package: ``tensorflow/__init__.py`` calls the same function.
        importlib.import_module("tensorflow.python.framework.load_library").load_library(directory)


class Package(types.ModuleType):
    """An empty package ``tensorflow``.

    Attributes:
        asked: The names that it was asked for and does not have.
    """

    def __init__(self, root: str) -> None:
        """Make a package whose modules are below a directory."""
        super().__init__("tensorflow")
        self.__path__ = [root]
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - it always raises
        """Record the name that is asked for.

        Raises:
            AttributeError: Always.
        """
        # Python's own questions about modules.
        if not name.startswith("__"):
            self.asked.append(name)
        raise AttributeError(f"module 'tensorflow' has no attribute {name!r}")

    def find_spec(self, name: str, *_: object) -> None:
        """Remember a module that no other finder has found, as the last one in the list."""
        if name.startswith("tensorflow.") and name.count(".") == 1:
            self.asked.append(name)


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Import a thousand modules at once without what only long-lived programs need."""
    gc.disable()
    # The generated modules write the same forty types, as text, fifteen thousand times.
    vars(typing)["compile"] = functools.lru_cache(maxsize=None)(compile)
    try:
        yield
    finally:
        del vars(typing)["compile"]
        gc.freeze()
        gc.enable()


def needed() -> Any:  # noqa: ANN401 - modules without stubs
    """Import the loader, and return it with what ``PythonLoader`` asks ``tensorflow`` for."""
    os.environ["TF2_BEHAVIOR"] = "1"
    of = importlib.import_module
    of("tensorflow.python.pywrap_tensorflow")
    of("tensorflow.python.tf2").enable()
    saved_model = "tensorflow.python.saved_model"
    load = of(f"{saved_model}.load").load
    options = of(f"{saved_model}.load_options").LoadOptions
    framework = "tensorflow.python.framework"
    ops, tensor = of(f"{framework}.ops"), of(f"{framework}.tensor")
    v1 = types.SimpleNamespace(reset_default_graph=ops.reset_default_graph)
    composite = of(f"{framework}.composite_tensor").CompositeTensor
    tf = types.SimpleNamespace(
        Tensor=tensor.Tensor,
        TensorSpec=tensor.TensorSpec,
        __internal__=types.SimpleNamespace(CompositeTensor=composite),
        type_spec_from_value=of(f"{framework}.type_spec").type_spec_from_value,
        load_op_library=of(f"{framework}.load_library").load_op_library,
        version=of(f"{framework}.versions"),
        saved_model=types.SimpleNamespace(load=load, LoadOptions=options),
        compat=types.SimpleNamespace(v1=v1),
    )
    # Without it shapes are those of TensorFlow 1.
    of("tensorflow.python.compat.v2_compat").enable_v2_behavior()
    return tf


class Names:
    """The names that ``tensorflow`` exports, of the modules that are imported.

    Each symbol has been registered under the names that the public modules give it.
    """

    def __init__(self, package: Package, prefix: str = "") -> None:
        """Take the names that start so."""
        self._package, self._prefix = package, prefix
        self._exports = importlib.import_module("tensorflow.python.util.tf_export")
        self._dtypes = importlib.import_module("tensorflow.python.framework.dtypes")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - modules without stubs
        """Return a symbol, a type, or a part of the names.

        Raises:
            AttributeError: There is none; the package remembers it.
        """
        path = self._prefix + name
        found = self._exports.get_symbol_from_name(path)
        if found is None and not self._prefix:
            found = getattr(self._dtypes, name, None)  # constants are not registered
        if found is not None:
            return found
        if path in _PARTS:
            return Names(self._package, f"{path}.")
        return getattr(self._package, path)


_PARTS = {"__internal__", "image", "io", "lookup", "math", "nn", "random", "raw_ops", "sparse"}
_OPS = ("image_ops", "lookup_ops", "map_fn", "nn_ops", "parsing_ops", "proto_ops", "sparse_ops")


class LightLoader(PythonLoader):
    """``tf.saved_model.load`` alone: it loads, traces recipes, and calls nothing."""

    def __init__(self, tf: Any, package: Package) -> None:  # noqa: ANN401 - modules without stubs
        """Keep the modules."""
        super().__init__(tf)
        self._package = package

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the reply to one request; a refusal where the empty package was asked."""
        reply = super().answer(request)
        if reply["ok"] and self._package.asked:
            missed = ", ".join(dict.fromkeys(self._package.asked))
            return {"ok": False, "code": 2, "kind": "", "message": f"{missed} is not imported"}
        return reply

    def _do_trace(self, request: dict[str, Any]) -> dict[str, Any]:
        """Trace a recipe."""
        from .trace_request import trace  # noqa: PLC0415 - seldom needed

        for name in (*_OPS, "stateful_random_ops"):
            importlib.import_module(f"tensorflow.python.ops.{name}")
        return trace(Names(self._package), request)
