"""What runs inside a process of its own and is timed there; see bench.child."""
