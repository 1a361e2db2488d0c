"""Comparing an endpoint's answers with the bake's probes: the smoke test and the probe."""
