"""Models in object stores: read, copied to a temporary directory, committed.

``access`` sends requests to a store with the library obstore, which it imports at the first URL.
``copies`` lists models and makes a local copy of one. ``putting`` commits an edited copy by one
conditional put of ``saved_model.pb``.

These modules use the names of files and do not decode their content.
"""
