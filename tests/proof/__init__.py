"""The structural proof: fingerprints, and the comparison of an edit with its request."""
