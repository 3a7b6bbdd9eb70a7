"""Tests of the command line: what people and scripts see of smpatch."""
