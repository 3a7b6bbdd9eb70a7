"""One HTML file with the signatures of a model and their computations.

``document`` makes the data, ``html`` puts the data and the files of this directory into the page.
The page needs no network and no other file.

This package prints and writes nothing.
"""

from __future__ import annotations

from smpatch.page.document import Form, Page, Proposal, Section, document
from smpatch.page.html import html

__all__ = ["Form", "Page", "Proposal", "Section", "document", "html"]
