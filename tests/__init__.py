"""The tests of smpatch; each asserts a fact that could be otherwise."""
