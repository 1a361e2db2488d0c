"""Measures this project against its alternatives: `make bench`."""
