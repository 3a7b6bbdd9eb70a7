"""Numbers before an edit and after it, of two models, and of the two halves of one."""
