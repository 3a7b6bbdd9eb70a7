"""Inputs that are to take more than the graph says, and runs that lose rows."""
