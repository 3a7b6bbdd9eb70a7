"""The two forms of a SavedModel file: binary and text.

The module of each form finds the parts of a MetaGraph in the file, and turns changes of them into
splices. The loader decodes the parts.
"""
