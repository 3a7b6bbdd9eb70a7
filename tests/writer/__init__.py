"""The writer from outside: what a directory holds after an edit, a fault, a kill."""
