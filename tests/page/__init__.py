"""Tests of the page that ``--html`` writes."""
