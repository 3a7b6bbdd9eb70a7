"""A page to look at: the signatures of a model and what they compute, in one HTML file.

``document`` builds the data, ``html`` puts them into the files of this directory. The page needs
no network and no other file.

This package prints and writes nothing.
"""

from __future__ import annotations

from smpatch.page.document import Form, Page, Proposal, Section, document
from smpatch.page.html import html

__all__ = ["Form", "Page", "Proposal", "Section", "document", "html"]
