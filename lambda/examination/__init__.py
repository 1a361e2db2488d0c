"""The smoke test and the probe: both compare an endpoint's answers with what its bake recorded."""
