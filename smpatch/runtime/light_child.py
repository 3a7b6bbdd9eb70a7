"""TensorFlow's Python loader with only those modules that it needs itself.

``import tensorflow`` imports almost three thousand modules. ``tensorflow.python.saved_model.load``,
which is ``tf.saved_model.load``, needs a thousand of them. This program makes an empty package
``tensorflow`` and imports only these modules, so the same code loads a model. A missing module may
be the reason of a refusal; therefore the parent asks ``python_child`` after a refusal. If code uses
a name that the empty package does not have, every answer is a refusal.

Recipes are traced here as well: the thousand modules include those that recipes need.

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

# The directories from which ``import tensorflow`` loads plug-ins for devices, and its own kernels.
PLUGINS = "tensorflow-plugins"
KERNELS = ("core", "kernels")


def start(request: dict[str, Any]) -> LightLoader:
    """Import the loader, with the import path in the first request.

    Raises:
        Unfit: This TensorFlow has another layout, or plug-ins.
    """
    sys.path[:] = request["path"]
    root: str = request["root"]
    for place in (os.path.join(each, PLUGINS) for each in sys.path):
        if os.path.exists(place):
            raise Unfit(f"{place} is loaded with all of TensorFlow")
    package = Package(root)
    sys.modules[package.__name__] = package
    sys.meta_path.append(package)  # the package is also a finder of modules
    try:
        with quick_imports():
            tf = needed()
            load_kernels(os.path.join(root, *KERNELS))
    except Exception as error:  # an unknown layout may raise any exception
        raise Unfit(f"{type(error).__name__}: {error}") from error
    return LightLoader(tf, package)


def load_kernels(directory: str) -> None:
    """Load the kernels, if the release has them in separate libraries, as 2.16 does."""
    if os.path.exists(directory):
        # The empty package does not run ``tensorflow/__init__.py``, which calls this function.
        importlib.import_module("tensorflow.python.framework.load_library").load_library(directory)


class Package(types.ModuleType):
    """An empty package ``tensorflow``.

    Attributes:
        asked: The names of attributes and modules that code used and the package does not have.
    """

    def __init__(self, root: str) -> None:
        """Make a package whose modules are below the directory ``root``."""
        super().__init__("tensorflow")
        self.__path__ = [root]
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - it always raises
        """Record the name of a missing attribute.

        Raises:
            AttributeError: Always.
        """
        # Python itself looks up names that begin with two underscores.
        if not name.startswith("__"):
            self.asked.append(name)
        raise AttributeError(f"module 'tensorflow' has no attribute {name!r}")

    def find_spec(self, name: str, *_: object) -> None:
        """Record a module that no other finder has found; this finder is the last in the list."""
        if name.startswith("tensorflow.") and name.count(".") == 1:
            self.asked.append(name)


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Make the imports of a thousand modules faster: collect no garbage, and cache types.

    At the end the imported objects are excluded from garbage collection.
    """
    gc.disable()
    # The generated modules have fifteen thousand types as text, of which only forty differ.
    vars(typing)["compile"] = functools.lru_cache(maxsize=None)(compile)
    try:
        yield
    finally:
        del vars(typing)["compile"]
        gc.freeze()
        gc.enable()


def needed() -> Any:  # noqa: ANN401 - modules without stubs
    """Import the loader, and return the attributes of ``tensorflow`` that ``PythonLoader`` uses."""
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
    # Otherwise shapes behave as in TensorFlow 1.
    of("tensorflow.python.compat.v2_compat").enable_v2_behavior()
    return tf


class Names:
    """The public names of ``tensorflow`` whose modules are imported.

    TensorFlow registers each symbol under its public names.
    """

    def __init__(self, package: Package, prefix: str = "") -> None:
        """Use the names that begin with ``prefix``."""
        self._package, self._prefix = package, prefix
        self._exports = importlib.import_module("tensorflow.python.util.tf_export")
        self._dtypes = importlib.import_module("tensorflow.python.framework.dtypes")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - modules without stubs
        """Return a symbol, a data type, or the names below a module.

        Raises:
            AttributeError: There is no such name; the package records it.
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
    """``tf.saved_model.load`` alone: it loads models and traces recipes, and calls no signature."""

    def __init__(self, tf: Any, package: Package) -> None:  # noqa: ANN401 - modules without stubs
        """Store the modules."""
        super().__init__(tf)
        self._package = package

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the reply to one request; a refusal if a name of the empty package was missing."""
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
