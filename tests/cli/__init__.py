"""Tests of the command line, the interface of smpatch for people and scripts."""
