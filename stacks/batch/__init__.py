"""The Batch stack."""
