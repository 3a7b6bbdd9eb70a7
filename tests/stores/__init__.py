"""Models in object stores, against servers on this machine."""
