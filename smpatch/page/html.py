"""The HTML file that has the data of a page, and the files of this directory.

A Content-Security-Policy in the page allows the script and the styles of the page, by their
hashes, and nothing else: no network, no frames, no markup that is made from text.

Source: Content Security Policy Level 3; "Restrictions for contents of script elements" in the
HTML standard.
"""

from __future__ import annotations

import base64
import hashlib
import html as markup
import importlib.resources
import json
from collections.abc import Mapping

_SCRIPTS = ("text.js", "data.js", "rows.js", "tree.js", "layout.js", "drawing.js", "detail.js")
_LAST = "page.js"
"""The script that starts the page; it uses the functions of the other scripts."""


def html(data: Mapping[str, object]) -> str:
    """Return the data of ``document`` as a page in HTML."""
    style = _read("page.css")
    script = "\n".join(['"use strict";', *map(_read, (*_SCRIPTS, _LAST))])
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )
    parts = {
        "policy": markup.escape(policy, quote=True),
        "style": style,
        "script": script,
        "data": _island(data),
    }
    page = _read("page.html")
    for name, part in parts.items():
        before, mark, after = page.partition(f"{{{{{name}}}}}")
        if not mark:
            raise LookupError(f"page.html has no place for {name}")
        page = before + part + after
    return page


def _island(data: Mapping[str, object]) -> str:
    """Return JSON in ASCII that contains no markup, whatever the names in the data are."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _read(name: str) -> str:
    return (importlib.resources.files(__package__) / name).read_text(encoding="utf-8")
