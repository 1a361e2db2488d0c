"""Versions of a deployed corpus: what a deploy would change, what there was, back, and away."""
