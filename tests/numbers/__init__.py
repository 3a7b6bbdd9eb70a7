"""Comparisons of numbers: before and after an edit, of two models, and of the two halves of one."""
