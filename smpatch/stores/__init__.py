"""Models in object stores: read, copied to a temporary directory, committed.

``access`` speaks to a store, through the library obstore, which is imported when the first URL is
given; ``copies`` lists models and makes a local copy of one; ``putting`` puts an edited copy back,
in one conditional put of ``saved_model.pb``.

These modules use the names of files and do not read their content.
"""
