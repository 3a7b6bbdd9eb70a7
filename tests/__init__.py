"""smpatch's tests: facts that could be otherwise."""
