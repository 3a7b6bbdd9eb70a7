"""The programs with which the benchmarks compare smpatch; each runs in a new process."""
