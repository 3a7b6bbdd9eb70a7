"""Edits done to a MetaGraph that is not written yet: each makes a new draft of it.

``adding`` puts signatures in, ``naming`` gives them other keys or takes them away,
``revising`` changes one that is there (``dropping``: inputs that it loses), ``tagging`` is about
the MetaGraph itself; ``sequence`` does a list of edits one after the other. Nothing here touches
a disk.
"""
