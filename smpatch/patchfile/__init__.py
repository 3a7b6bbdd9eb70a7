"""Patch files: edits in a TOML file, which ``smpatch apply`` makes on many models.

``toml`` reads a document with the line of each key, and ``document`` makes edits from it. Each kind
of edit reads its own table (``patch_table``).
"""

from smpatch.patchfile.document import Patch, load_patch, parse_patch

__all__ = ["Patch", "load_patch", "parse_patch"]
