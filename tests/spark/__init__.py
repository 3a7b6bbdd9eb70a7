"""A standalone cluster of Spark, where it is installed."""
