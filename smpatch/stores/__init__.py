"""Models in object stores: read, copied to a temporary directory, committed.

``access`` speaks to a store, through the library obstore, which is imported when the first
URL is given; ``copies`` makes a local copy of a model for as long as it is needed; ``putting``
puts what an edit made of it back, in one conditional put of ``saved_model.pb``; ``patterns``
lists models.

These modules use the names of files and do not read their content.
"""

from smpatch.stores.access import set_store_options
from smpatch.stores.copies import Copy, copied, described
from smpatch.stores.patterns import expanded
from smpatch.stores.putting import put_back, upload

__all__ = [
    "Copy",
    "copied",
    "described",
    "expanded",
    "put_back",
    "set_store_options",
    "upload",
]
