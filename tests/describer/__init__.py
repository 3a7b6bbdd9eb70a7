"""Texts about signatures, read back by protobuf, a JSON parser, a shell, Python and Markdown."""
