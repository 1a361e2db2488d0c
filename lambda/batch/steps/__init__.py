"""The steps of a batch's state machine."""
