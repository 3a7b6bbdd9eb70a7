"""Texts about signatures that protobuf, a JSON parser, a shell, Python and Markdown read back."""
