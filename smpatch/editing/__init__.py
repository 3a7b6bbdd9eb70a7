"""Edits of a MetaGraph in memory: each makes a new draft of it. Nothing here touches a disk.

``edit`` has the base of all kinds, ``sequence`` does a list of edits one after the other,
``tracking`` follows names through a list. The kinds (``edits``) are made of the rest.
"""
