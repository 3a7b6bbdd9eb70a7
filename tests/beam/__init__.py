"""Pipelines of Apache Beam."""
