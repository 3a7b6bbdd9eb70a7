"""Inputs that take more sizes than the graph allows, and runs that lose rows."""
