"""The index of a baked corpus and the search in it."""
