"""What holds on a live account: the checks that docs/unverified.md names."""
