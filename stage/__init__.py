"""Everything that is known about a stage before synth. Does not import the CDK."""
