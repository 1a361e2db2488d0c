"""What bench.child runs and times in a separate process."""
