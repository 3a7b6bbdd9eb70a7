"""Values to feed, arrays of files and of messages, and comparisons of results."""
