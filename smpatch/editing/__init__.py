"""Edits of a MetaGraph in memory: each makes a new draft of it. This package writes no file.

``edit`` has the base of all kinds, ``sequence`` does a list of edits one after another, and
``tracking`` follows names through a list. The kinds (``edits``) use the other modules.
"""
