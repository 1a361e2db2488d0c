"""Batches: the REST routes that start and watch them, and the steps of their state machine."""
