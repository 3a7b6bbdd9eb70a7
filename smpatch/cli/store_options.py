"""``--store-option KEY=VALUE``: options of object stores.

Values may be secret: no error repeats one.
"""

from __future__ import annotations

from collections.abc import Sequence

from smpatch.errors import UsageError
from smpatch.stores import set_store_options

__all__ = ["take"]


def take(options: Sequence[str]) -> None:
    """Set the options that were given on the command line.

    Raises:
        UsageError: One has no key or no value, or a key is there twice.
    """
    found: dict[str, str] = {}
    for place, each in enumerate(options, 1):
        key, separator, value = each.partition("=")
        if not key or not separator:
            which = f"the {place}. of {len(options)}" if len(options) > 1 else "it"
            found_words = f"{which} is not of the form KEY=VALUE"
            raise UsageError(found_words, where="--store-option", hint="such as region=eu-west-1")
        if key in found:
            raise UsageError(f"the key {key!r} is given twice", where="--store-option")
        found[key] = value
    set_store_options(found)
