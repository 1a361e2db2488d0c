"""What the stacks share."""
