"""Accepted work: it survives every process that works on it, and ends exactly once."""
