"""What two sides must agree on. Standard library only."""
