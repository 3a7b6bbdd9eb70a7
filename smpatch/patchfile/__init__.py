"""A patch file: the edits of the command line, written down once, for many models.

``toml`` reads a document with the line of each key, ``document`` makes edits of it; a kind of edit
reads its own table (``patch_table``).
"""

from smpatch.patchfile.document import Patch, load_patch, parse_patch

__all__ = ["Patch", "load_patch", "parse_patch"]
