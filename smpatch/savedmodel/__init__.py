"""The two forms in which a SavedModel lies in a file: binary and text.

Each form says where the parts of a MetaGraph are and how a signature is put there or
taken away, as splices of the file. What the parts mean is the loader's business.
"""
