"""The writer from outside: the files in a directory after an edit, a fault, a kill."""
