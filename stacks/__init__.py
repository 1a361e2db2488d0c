"""The infrastructure: one file a stack, one file a construct."""
