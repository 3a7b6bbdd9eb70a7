"""The documentation: README.md and every page in ``docs``."""
