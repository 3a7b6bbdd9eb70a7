"""A standalone cluster of Spark, if Spark is installed."""
