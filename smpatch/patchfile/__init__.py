"""A patch file: the edits of the command line, written down once, for many models.

``toml`` reads a document with the line of each key, ``fields`` takes a table apart key by key,
``document`` says what a patch file looks like and makes edits of it.
"""

from smpatch.patchfile.document import Patch, load_patch, parse_patch

__all__ = ["Patch", "load_patch", "parse_patch"]
