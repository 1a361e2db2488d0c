"""The infrastructure: one folder per stack, alarms/ and what the stacks share in common/."""
