"""Measures this project beside its alternatives: `make bench`."""
